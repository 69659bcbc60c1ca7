"""The worker as RunPod starts it, attached to a platform on loopback that it alone serves."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from canary import CANARY
from jobs import job_input
from runpod_stand_in import JobRecord, RunPodStandIn

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, str(ROOT / "src" / "handler.py")]
START_TIMEOUT_S = 300.0
"""For what may have to wait for the model, on a busy machine."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process and the platform that it alone serves."""

    platform: RunPodStandIn
    process: subprocess.Popen[bytes]
    work_dir: Path
    log: Path

    def descendants(self, word: str = "") -> list[psutil.Process]:
        """Its children and theirs whose command line holds a word."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it ended just now
                if word in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def run_until_decoding(self, video_url: Path | str) -> JobRecord:
        """Submit a job of many chunks; on return it has answered one, and its decoder waits to go on."""
        job = self.platform.submit(job_input(video_url, chunk_duration=1.0))

        def reached() -> bool:
            assert not job.is_over, job.view()
            return any(update.body["chunks_done"] for update in job.progress)

        self.platform.wait_until(reached, START_TIMEOUT_S, "the first chunk's answer")
        return job

    def wait_for_ping(self, job: JobRecord, *, running: bool) -> None:
        """Wait until the worker tells the platform that it is, or is not, busy with a job."""
        pings = self.platform.worker().pings

        def told() -> bool:
            return bool(pings) and (job.id in pings[-1].body.get("job_id", "")) == running

        self.platform.wait_until(told, what=f"a ping with {running=}")


@contextmanager
def running_worker(settings: dict[str, str], directory: Path) -> Iterator[Worker]:
    """Run a worker until the block ends; no canary may be in what it logged or posted."""
    work_dir, log = directory / "jobs", directory / "log"
    settings = settings | {"WORK_DIR": str(work_dir)}
    with (
        log.open("wb") as written,
        RunPodStandIn() as platform,
        platform.worker_process(COMMAND, environment=settings, log=written, grace_s=0.0) as process,
    ):
        platform.wait_for_take()
        yield Worker(platform, process, work_dir, log)
    assert CANARY not in log.read_text()
    assert not [job for job in platform.jobs if CANARY in str(job.raw_bodies)]
