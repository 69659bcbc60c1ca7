"""The platform as a test sees it: a server in a thread, worker processes, and waiting for states."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import IO, Self, TypeVar

from aiohttp import web

from runpod_stand_in.ledger import JobRecord, Ledger, Status, WorkerRecord
from runpod_stand_in.routes import Routes

T = TypeVar("T")


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
        self._ledger = Ledger()
        self._routes = Routes(self._ledger, self.api_key, poll_hold_s, runsync_hold_s)
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
