"""RunPod's serverless platform on loopback: the side its workers talk to and the REST API its clients talk to.

Routes and bodies are those that runpod 1.12.0 sends and accepts. Where the platform's own behaviour is unknown, this
one takes the reading that lets a test see the worker's mistake: a result that is not JSON is refused, and whatever
arrives after a job is over is kept in `JobRecord.late` and changes nothing. It does not redeliver the jobs of a dead
worker, replace a worker that asks for it, call webhooks, expire queued jobs or forget results.

By hand: `python tests/runpod_stand_in.py --port 18080` prints what a worker and a client have to export.
"""

import argparse
import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any, Literal, NoReturn, Self, TypeVar

from aiohttp import web

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.Response]]
Status = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]

RUN_LIMIT_BYTES = 10 * 2**20
RUNSYNC_LIMIT_BYTES = 20 * 2**20
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


class _Ledger:
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
            body = _json_object(raw)
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


class _Routes:
    """HTTP in front of a ledger, everything under `/v2/<endpoint_id>`."""

    def __init__(self, ledger: _Ledger, api_key: str, poll_hold_s: float, runsync_hold_s: float) -> None:
        self._ledger = ledger
        self._api_key = api_key
        self._poll_hold_s = poll_hold_s
        self._runsync_hold_s = runsync_hold_s

    def application(self, endpoint_id: str) -> web.Application:
        root = f"/v2/{endpoint_id}"
        client: dict[str, Handler] = {
            "POST /run": self._run,
            "POST /runsync": self._runsync,
            "GET /status/{job}": self._status,
            "GET /stream/{job}": self._stream,
            "POST /cancel/{job}": self._cancel,
            "GET /health": self._health,
            "POST /purge-queue": self._purge_queue,
        }
        worker: dict[str, Handler] = {
            "GET /job-take/{worker}": self._job_take,
            "GET /job-take-batch/{worker}": self._job_take,
            "GET /job-stop/{worker}": self._job_stop,
            "POST /job-done/{worker}/{job}": self._job_post,
            "POST /job-stream/{worker}/{job}": self._job_post,
            "GET /ping/{worker}": self._ping,
        }
        application = web.Application(client_max_size=RUNSYNC_LIMIT_BYTES)
        for route, handler in ({name: self._authorised(made) for name, made in client.items()} | worker).items():
            method, path = route.split()
            application.router.add_route(method, root + path, handler)
        return application

    def _authorised(self, handler: Handler) -> Handler:
        async def checked(request: web.Request) -> web.Response:
            if request.headers.get("Authorization", "").removeprefix("Bearer ") != self._api_key:
                return web.json_response({"error": "unauthorized"}, status=401)
            return await handler(request)

        return checked

    def _job(self, request: web.Request) -> JobRecord:
        try:
            return self._ledger.jobs[request.match_info["job"]]
        except KeyError:
            raise web.HTTPNotFound(text='{"error": "job not found"}', content_type="application/json") from None

    async def _submitted(self, request: web.Request, limit_bytes: int, prefix: str = "") -> JobRecord:
        raw = await request.read()
        if len(raw) > limit_bytes:
            raise web.HTTPRequestEntityTooLarge(limit_bytes, len(raw))
        body = _json_object(raw)
        if body is None or "input" not in body:
            raise web.HTTPBadRequest(text='{"error": "input is required"}', content_type="application/json")
        return self._ledger.submit(body["input"], body.get("policy") or {}, prefix)

    async def _run(self, request: web.Request) -> web.Response:
        return web.json_response((await self._submitted(request, RUN_LIMIT_BYTES)).view())

    async def _runsync(self, request: web.Request) -> web.Response:
        job = await self._submitted(request, RUNSYNC_LIMIT_BYTES, prefix="sync-")
        wait_ms = request.query.get("wait")
        hold_s = min(max(int(wait_ms), 1_000), 300_000) / 1000 if wait_ms else self._runsync_hold_s
        await self._ledger.hold(lambda: job.is_over, hold_s)
        return web.json_response(job.view())

    async def _status(self, request: web.Request) -> web.Response:
        return web.json_response(self._job(request).view())

    async def _stream(self, request: web.Request) -> web.Response:
        job = self._job(request)
        fresh = job.stream[job.streamed :]
        with self._ledger.change():
            job.streamed = len(job.stream)
        return web.json_response({"status": job.status, "stream": [{"output": output} for output in fresh]})

    async def _cancel(self, request: web.Request) -> web.Response:
        job = self._job(request)
        self._ledger.end(job, "CANCELLED")
        return web.json_response({"id": job.id, "status": job.status})

    async def _purge_queue(self, _: web.Request) -> web.Response:
        waiting = self._ledger.waiting()
        for job in waiting:
            self._ledger.end(job, "CANCELLED")
        return web.json_response({"removed": len(waiting), "status": "completed"})

    async def _health(self, _: web.Request) -> web.Response:
        statuses = [job.status for job in self._ledger.jobs.values()]
        workers = [worker for worker in self._ledger.workers.values() if not worker.retired]
        busy = {job.worker_id for job in self._ledger.jobs.values() if job.status == "IN_PROGRESS"}
        running = sum(worker.id in busy for worker in workers)
        idle = sum(worker.polling > 0 and worker.id not in busy for worker in workers)
        jobs = {
            "completed": statuses.count("COMPLETED"),
            "failed": statuses.count("FAILED") + statuses.count("TIMED_OUT"),
            "inProgress": statuses.count("IN_PROGRESS"),
            "inQueue": statuses.count("IN_QUEUE"),
            "retried": 0,
        }
        unhealthy = sum(worker.unhealthy is not None for worker in workers)
        standing = {"idle": idle, "running": running, "ready": idle + running, "unhealthy": unhealthy}
        return web.json_response({"jobs": jobs, "workers": {**standing, "initializing": 0, "throttled": 0}})

    async def _job_take(self, request: web.Request) -> web.Response:
        worker = self._ledger.worker(request.match_info["worker"])
        batch_size = request.query.get("batch_size")
        with self._ledger.change():
            worker.takes += 1
            worker.polling += 1
        try:
            await self._ledger.hold(lambda: worker.retired or self._ledger.waiting(), self._poll_hold_s)
            taken = self._ledger.take(worker, int(batch_size or 1))
        finally:
            with self._ledger.change():
                worker.polling -= 1
        if not taken:
            return web.Response(status=204)
        jobs = [{"id": job.id, "input": job.input} for job in taken]
        return web.json_response(jobs if batch_size else jobs[0])

    async def _job_stop(self, request: web.Request) -> web.Response:
        worker = self._ledger.worker(request.match_info["worker"])
        await self._ledger.hold(lambda: worker.retired or worker.stops, self._poll_hold_s)
        with self._ledger.change():
            stops, worker.stops = worker.stops, []
        return web.json_response({"jobsToStop": stops}) if stops else web.Response(status=204)

    async def _job_post(self, request: web.Request) -> web.Response:
        stream = "/job-stream/" in request.path
        accepted = self._ledger.post(self._job(request), await request.read(), stream=stream)
        return web.json_response({}, status=200 if accepted else 400)

    async def _ping(self, request: web.Request) -> web.Response:
        worker = self._ledger.worker(request.match_info["worker"])
        with self._ledger.change():
            worker.pings.append(Arrival(time.monotonic(), dict(request.query)))
            if request.query.get("status") == "unhealthy":
                worker.unhealthy = {key: request.query.get(key, "") for key in ("check", "reason")}
        return web.json_response({})


class RunPodStandIn:
    """The platform with one endpoint, served from a thread of its own while the `with` block lasts.

    Everything public may be used from any thread. Records are live: wait for a state, then read.

    Args:
        port: 0 takes a free one.
        poll_hold_s: how long a poll for work or for stop signals is held open when there is nothing to say.
        runsync_hold_s: how long `/runsync` waits when the request has no `?wait=`.
    """

    endpoint_id = "stand-in"
    api_key = "stand-in-key"

    def __init__(self, port: int = 0, *, poll_hold_s: float = 80.0, runsync_hold_s: float = 90.0) -> None:
        self._port = port
        self._ledger = _Ledger()
        self._routes = _Routes(self._ledger, self.api_key, poll_hold_s, runsync_hold_s)
        self._serving: Future[asyncio.AbstractEventLoop] = Future()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="runpod-stand-in", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._serving.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._on_loop(self._closing.set)
        self._thread.join()

    async def _serve(self) -> None:
        application = self._routes.application(self.endpoint_id)
        # Without handler_cancellation a poll outlives the worker that made it, and takes the next job with it.
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port).start()
        except OSError as taken:
            self._serving.set_exception(taken)
        else:
            self._port = runner.addresses[0][1]
            self._serving.set_result(asyncio.get_running_loop())
            await self._closing.wait()
        finally:
            await runner.cleanup()

    def _on_loop(self, call: Callable[[], T]) -> T:
        async def called() -> T:
            return call()

        return asyncio.run_coroutine_threadsafe(called(), self._serving.result()).result()

    @property
    def url(self) -> str:
        """Base of the client API, as `runpod.endpoint_url_base` wants it."""
        return f"http://127.0.0.1:{self._port}/v2"

    @property
    def jobs(self) -> list[JobRecord]:
        """Every job so far, in order of submission."""
        return list(self._ledger.jobs.values())

    def job(self, job_id: str) -> JobRecord:
        """Look up a job by the id that the client was given."""
        return self._ledger.jobs[job_id]

    def worker(self, worker_id: str = "worker-1") -> WorkerRecord:
        """Look up a worker by its RUNPOD_POD_ID; one that has not called yet has an empty record."""
        return self._ledger.worker(worker_id)

    def client_environment(self) -> dict[str, str]:
        """What a client needs; RUNPOD_ENDPOINT_BASE_URL is read when `runpod` is imported."""
        return {
            "RUNPOD_ENDPOINT_ID": self.endpoint_id,
            "RUNPOD_API_KEY": self.api_key,
            "RUNPOD_ENDPOINT_BASE_URL": self.url,
        }

    def worker_environment(self, worker_id: str = "worker-1") -> dict[str, str]:
        """What a worker process needs on top of its own environment; it is read when `runpod` is imported."""
        root = f"{self.url}/{self.endpoint_id}"
        query = "?gpu=stand-in"  # the SDK appends "&key=value", so a query has to be there
        return {
            "RUNPOD_WEBHOOK_GET_JOB": f"{root}/job-take/$ID{query}",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{root}/job-done/$RUNPOD_POD_ID/$ID{query}",
            "RUNPOD_WEBHOOK_POST_STREAM": f"{root}/job-stream/$RUNPOD_POD_ID/$ID{query}",
            "RUNPOD_WEBHOOK_PING": f"{root}/ping/$RUNPOD_POD_ID{query}",
            "RUNPOD_PING_INTERVAL": "1000",  # milliseconds; below 1000 the SDK pings without a pause
            "RUNPOD_AI_API_KEY": self.api_key,
            "RUNPOD_ENDPOINT_ID": self.endpoint_id,
            "RUNPOD_POD_ID": worker_id,
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }

    @contextmanager
    def worker_process(
        self,
        command: Sequence[str],
        *,
        worker_id: str = "worker-1",
        environment: Mapping[str, str] | None = None,
        log: IO[bytes] | int | None = None,
        grace_s: float = 10.0,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker that is attached to this platform; when the block ends, SIGTERM, and SIGKILL after `grace_s`.

        Args:
            command: the worker's argument list.
            worker_id: its RUNPOD_POD_ID; each process starts with a fresh `WorkerRecord`.
            environment: added to this process's environment and to `worker_environment`, winning over both.
            log: where stdout and stderr go, this process's own by default. A pipe that nobody reads blocks the worker.
            grace_s: time for running jobs to finish.
        """
        merged = {**os.environ, **self.worker_environment(worker_id), **(environment or {})}
        self._ledger.workers[worker_id] = WorkerRecord(worker_id)
        # A session of its own: the SDK pings from a child process, which outlives a worker that is killed.
        process = subprocess.Popen(command, env=merged, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                self.retire(worker_id)
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def submit(self, job_input: object, **policy: int) -> JobRecord:
        """Queue a job as `/run` would, without a client; `policy` as in the REST API: `executionTimeout=5000`."""
        return self._on_loop(lambda: self._ledger.submit(job_input, policy))

    def cancel(self, job_id: str) -> None:
        """Cancel a job as `/cancel` would."""
        self._on_loop(lambda: self._ledger.end(self.job(job_id), "CANCELLED"))

    def retire(self, worker_id: str = "worker-1") -> None:
        """Give this worker no more work: its polls are answered at once, so a SIGTERM need not wait for them."""

        def retired() -> None:
            with self._ledger.change():
                self._ledger.worker(worker_id).retired = True

        self._on_loop(retired)

    def wait_until(self, reached: Callable[[], object], timeout_s: float = 15.0, what: str = "the state") -> None:
        """Block until `reached` is true; it is asked after each change and must not call the platform.

        Raises:
            TimeoutError: `what` did not come about in time; the message lists the jobs as they stand.
        """
        with self._ledger.changed:
            if not self._ledger.changed.wait_for(reached, timeout_s):
                standing = [job.view() for job in self.jobs]
                raise TimeoutError(f"waited {timeout_s} s for {what}; jobs: {standing}")

    def wait_for_status(self, job_id: str, *statuses: Status, timeout_s: float = 15.0) -> JobRecord:
        """Block until the job has one of `statuses`; without any, until it is over."""
        job = self.job(job_id)
        self.wait_until(
            lambda: job.status in statuses if statuses else job.is_over,
            timeout_s,
            f"job {job_id} to be {' or '.join(statuses) or 'over'}",
        )
        return job

    def wait_for_take(self, worker_id: str = "worker-1", timeout_s: float = 30.0) -> WorkerRecord:
        """Block until the worker polls for work: it has started and its fitness checks have passed."""
        worker = self.worker(worker_id)
        self.wait_until(lambda: worker.takes, timeout_s, f"{worker_id} to poll for work")
        return worker

    def wait_for_ping(self, worker_id: str = "worker-1", timeout_s: float = 30.0) -> WorkerRecord:
        """Block until one more ping of the worker arrives."""
        worker = self.worker(worker_id)
        before = len(worker.pings)
        self.wait_until(lambda: len(worker.pings) > before, timeout_s, f"a ping of {worker_id}")
        return worker


def _ms(duration_s: float) -> int:
    return round(duration_s * 1000)


def _json_object(raw: bytes) -> dict[str, Any] | None:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        body = json.loads(raw, parse_constant=refuse)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="RunPod's serverless platform on loopback.")
    parser.add_argument("--port", type=int, default=18080)
    with RunPodStandIn(parser.parse_args().port) as platform:
        lines = [f"# client API: {platform.url}/{platform.endpoint_id}", "", "# for: python src/handler.py"]
        lines += [f"export {key}={shlex.quote(value)}" for key, value in platform.worker_environment().items()]
        lines += ["", "# for: python example_usage.py"]
        lines += [f"export {key}={shlex.quote(value)}" for key, value in platform.client_environment().items()]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
