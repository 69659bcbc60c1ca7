"""What the platform knows of its jobs and workers, and every way in which that changes."""

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

Status = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]

DEFAULT_EXECUTION_TIMEOUT_MS = 600_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something a worker posted, and when (`time.monotonic()`)."""

    at_s: float
    body: Any


@dataclass(slots=True, eq=False)
class JobRecord:
    """One job as the platform saw it, live. Times are `time.monotonic()`; None means it has not happened."""

    id: str
    input: Any
    policy: dict[str, Any]
    created_s: float
    status: Status = "IN_QUEUE"
    worker_id: str | None = None
    taken_s: float | None = None
    finished_s: float | None = None
    output: Any = None
    error: str | None = None
    stop_pod: bool = False
    """The result asked for a new worker (`refresh_worker`)."""
    progress: list[Arrival] = field(default_factory=list)
    """The `output` of each progress update that arrived while the job ran, in order of arrival."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """Every final result posted, late ones too: a sound worker posts one, or none if the job was stopped."""
    late: list[Arrival] = field(default_factory=list)
    """Whole bodies that arrived once the job was over. Only complete when the worker process is gone."""
    malformed: list[bytes] = field(default_factory=list)
    """Bodies refused with 400 because they are not a JSON object; NaN and Infinity are not JSON."""
    raw_bodies: list[bytes] = field(default_factory=list)
    """Every body posted to job-done or job-stream, as sent."""
    stream: list[Any] = field(default_factory=list)
    streamed: int = 0
    """How many entries of `stream` a client has fetched."""

    @property
    def is_over(self) -> bool:
        """Whether the status is final."""
        return self.status not in ("IN_QUEUE", "IN_PROGRESS")

    def view(self) -> dict[str, Any]:
        """The answer to `/status`; the output of a running job is its latest progress update."""
        shown: dict[str, Any] = {"id": self.id, "status": self.status}
        if self.taken_s is not None:
            shown |= {"delayTime": _ms(self.taken_s - self.created_s), "workerId": self.worker_id}
            if self.finished_s is not None:
                shown["executionTime"] = _ms(self.finished_s - self.taken_s)
        output = self.progress[-1].body if self.progress and not self.is_over else self.output
        optional = {"output": output, "error": self.error}
        return shown | {key: value for key, value in optional.items() if value is not None}


@dataclass(slots=True, eq=False)
class WorkerRecord:
    """One worker as the platform saw it, live."""

    id: str
    takes: int = 0
    """Polls for work begun so far."""
    polling: int = 0
    """Polls for work held open now."""
    pings: list[Arrival] = field(default_factory=list)
    """The query of each ping: `job_id` names the jobs in progress, comma-separated."""
    unhealthy: dict[str, str] | None = None
    """The `check` and `reason` of the fitness check that failed."""
    stops: list[str] = field(default_factory=list)
    """Jobs to stop that the worker has not fetched yet."""
    retired: bool = False


class Ledger:
    """Jobs and workers, and every transition between their states. Changed on the server's loop only."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobRecord] = {}
        self.workers: dict[str, WorkerRecord] = {}
        self.changed = threading.Condition()
        self._tick = asyncio.Event()

    @contextmanager
    def change(self) -> Iterator[None]:
        """Wake everyone who waits for a state, on the loop and in other threads, when the block ends."""
        with self.changed:
            yield
            self.changed.notify_all()
        self._tick.set()
        self._tick = asyncio.Event()

    async def hold(self, ready: Callable[[], object], hold_s: float) -> None:
        """Return when `ready` is true, or after `hold_s`; nothing runs between the last look and the return."""
        with suppress(TimeoutError):
            async with asyncio.timeout(hold_s):
                while not ready():
                    await self._tick.wait()

    def worker(self, worker_id: str) -> WorkerRecord:
        return self.workers.setdefault(worker_id, WorkerRecord(worker_id))

    def waiting(self) -> list[JobRecord]:
        return [job for job in self.jobs.values() if job.status == "IN_QUEUE"]

    def submit(self, job_input: object, policy: Mapping[str, Any], prefix: str = "") -> JobRecord:
        job = JobRecord(f"{prefix}{uuid.uuid4()}-u1", job_input, dict(policy), time.monotonic())
        with self.change():
            self.jobs[job.id] = job
        return job

    def take(self, worker: WorkerRecord, limit: int) -> list[JobRecord]:
        taken = [] if worker.retired else self.waiting()[:limit]
        with self.change():
            for job in taken:
                job.status, job.worker_id, job.taken_s = "IN_PROGRESS", worker.id, time.monotonic()
                timeout_ms = job.policy.get("executionTimeout") or DEFAULT_EXECUTION_TIMEOUT_MS
                asyncio.get_running_loop().call_later(timeout_ms / 1000, self.end, job, "TIMED_OUT")
        return taken

    def end(self, job: JobRecord, status: Status) -> None:
        """Cancel or time out a job; one that is over stays as it is, one that runs is stopped."""
        if job.is_over:
            return
        with self.change():
            if job.worker_id is not None:
                self.worker(job.worker_id).stops.append(job.id)
            job.status, job.finished_s = status, time.monotonic()
            job.error = "executionTimeout exceeded" if status == "TIMED_OUT" else None

    def post(self, job: JobRecord, raw: bytes, *, stream: bool) -> bool:
        """Take in what a worker posted for `job`; False if it is not a JSON object."""
        now_s = time.monotonic()
        with self.change():
            job.raw_bodies.append(raw)
            body = json_object(raw)
            if body is None:
                job.malformed.append(raw)
                return False
            is_final = not stream and body.get("status") != "IN_PROGRESS"
            if is_final:
                job.results.append(body)
            if job.is_over:
                job.late.append(Arrival(now_s, body))
            elif is_final:
                self._settle(job, body, now_s)
            elif stream:
                job.stream.append(body.get("output"))
            else:
                job.progress.append(Arrival(now_s, body.get("output")))
        return True

    @staticmethod
    def _settle(job: JobRecord, result: dict[str, Any], now_s: float) -> None:
        error = result.get("error")
        job.finished_s, job.stop_pod = now_s, bool(result.get("stopPod"))
        if not error:
            job.status, job.output = "COMPLETED", result.get("output")
        elif isinstance(error, str):
            job.status, job.output, job.error = "FAILED", result.get("output"), error
        else:
            job.status = "COMPLETED"  # an error that is no string is lost: runpod-python#299


def _ms(duration_s: float) -> int:
    return round(duration_s * 1000)


def json_object(raw: bytes) -> dict[str, Any] | None:
    """Read a body that has to be a JSON object; None if it is not one."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        body = json.loads(raw, parse_constant=refuse)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
