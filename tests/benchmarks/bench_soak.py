"""`make bench-soak`: a thousand mixed jobs through one worker process; every fifth is hostile."""

import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import psutil

from benchmarks.report import publish
from clips import ffmpeg
from hostile_files import OUTCOMES_OF_LIES, damaged, lies, lists_of_other_files
from media_server import MediaServer, cut, dripping, raw, status, unannounced, whole
from runpod_stand_in import JobRecord, RunPodStandIn
from tiny_model.environment import environment

JOBS, WARM_UP_JOBS = 1000, 300
"""The warm-up jobs fill caches and pools; memory and counts are compared from there on."""
HOSTILE_SHARE, CANCELLED_SHARE = 0.20, 0.05
IN_QUEUE = 12
JOB_TIMEOUT_S, START_TIMEOUT_S, SETTLE_S = 120.0, 300.0, 10.0
SEED = 6
ANSWERED = frozenset({"complete"})
READ_IN_PART = frozenset(
    {"complete", "partial", "UNREADABLE_VIDEO", "NO_VIDEO_STREAM", "NO_FRAMES", "UNSUPPORTED_CODEC"}
)
"""Allowed outcomes for a damaged file."""
TARGETS = {"jobs": "1000", "lost": "0", "wrong_codes": "0", "rss_drift": "< 0.05", "leftovers": "0"}

Mix = Mapping[str, tuple[dict[str, Any], frozenset[str]]]
"""By kind of job: its input, and the allowed outcomes, each the status of an answer or the code of an error."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the idle worker occupies."""

    rss_bytes: int
    counts: Counter[str]
    """Numbers of files, processes, threads and descriptors."""


def main() -> None:
    """Run the jobs and print how many were lost or wrong, and what they left behind."""
    with tempfile.TemporaryDirectory() as directory, MediaServer() as server, RunPodStandIn() as platform:
        media, work_dir = Path(directory) / "media", Path(directory) / "jobs"
        honest, hostile = mixes(media, server)
        image = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_ARENA_MAX": "2"}  # as in the Dockerfile
        settings = (
            environment()
            | image
            | {
                "VIDEO_ROOTS": str(media),
                "DOWNLOAD_ALLOW_PRIVATE": "127.0.0.1",
                "DOWNLOAD_TIMEOUT_S": "5",
                "WORK_DIR": str(work_dir),
            }
        )
        command = [sys.executable, str(ROOT / "src" / "handler.py")]
        with (
            (Path(directory) / "log").open("wb") as log,
            platform.worker_process(command, environment=settings, log=log) as process,
        ):
            platform.wait_for_take()
            soak = Soak(platform, honest, hostile)
            soak.run(WARM_UP_JOBS)
            before = usage(process.pid, work_dir, platform)
            soak.run(JOBS - WARM_UP_JOBS)
            after = usage(process.pid, work_dir, platform)
    leftovers = after.counts - before.counts
    print(f"wrong: {soak.wrong}\nleft: {dict(leftovers)}", file=sys.stderr)
    figures: dict[str, Any] = {
        "jobs": len(soak.outcomes),
        "lost": soak.lost,
        "wrong_codes": len(soak.wrong),
        "rss_drift": after.rss_bytes / before.rss_bytes - 1,
        "leftovers": leftovers.total(),
        "jobs_per_minute": len(soak.outcomes) / soak.wall_s * 60,
        "outcomes": dict(Counter(soak.outcomes).most_common()),
    }
    publish("soak", figures, TARGETS)


class Soak:
    """Submits jobs, keeping a few queued, and judges their outcomes."""

    def __init__(self, platform: RunPodStandIn, honest: Mix, hostile: Mix) -> None:
        self.outcomes: list[str] = []
        self.wrong: list[str] = []
        self.lost = 0
        self.wall_s = 0.0
        self._platform = platform
        self._honest, self._hostile = honest, hostile
        self._random = random.Random(SEED)

    def run(self, count: int) -> None:
        """Submit `count` jobs and wait for all of them."""
        started_s = time.monotonic()
        running: list[tuple[JobRecord, str, frozenset[str]]] = []
        for _ in range(count):
            if len(running) >= IN_QUEUE:
                self._judge(*running.pop(0))
            running.append(self._submit())
        for job, kind, expected in running:
            self._judge(job, kind, expected)
        self.wall_s += time.monotonic() - started_s

    def _submit(self) -> tuple[JobRecord, str, frozenset[str]]:
        draw = self._random.random()
        mix = self._hostile if draw < HOSTILE_SHARE else self._honest
        kind = self._random.choice(list(mix))
        job_input, expected = mix[kind]
        job = self._platform.submit(job_input)
        if draw > 1 - CANCELLED_SHARE:
            self._platform.wait_until(lambda: job.status != "IN_QUEUE", START_TIMEOUT_S)
            self._platform.cancel(job.id)
            expected |= {"CANCELLED"}
        return job, kind, expected

    def _judge(self, job: JobRecord, kind: str, expected: frozenset[str]) -> None:
        timeout_s = JOB_TIMEOUT_S if self.outcomes else START_TIMEOUT_S
        try:
            self._platform.wait_for_status(job.id, timeout_s=timeout_s)
        except TimeoutError:
            self.lost += 1
            self.outcomes.append("lost")
            return
        outcome = outcome_of(job)
        self.outcomes.append(outcome)
        self.lost += outcome != "CANCELLED" and len(job.results) != 1
        if outcome not in expected:
            self.wrong.append(f"{kind}: {outcome}: {job.error}")


def outcome_of(job: JobRecord) -> str:
    """The status of an answer, the code of an error, or the platform's status of the job."""
    if job.status == "COMPLETED":
        # The jobs allow so few tokens that most answers are cut: what was seen counts here.
        is_seen = job.output["status"] == "partial" and not job.output["unseen"]
        return "complete" if is_seen else str(job.output["status"])
    return re.split(r": ", job.error or job.status, maxsplit=1)[0]


def usage(pid: int, work_dir: Path, platform: RunPodStandIn) -> Usage:
    """Measure an idle worker, after giving it time to settle.

    Connections to the platform are not counted, because after many results the SDK keeps one or two more open for a
    while.
    """
    time.sleep(SETTLE_S)
    platform_port = urlsplit(platform.url).port
    worker = psutil.Process(pid)
    processes = [worker, *worker.children(recursive=True)]
    counts = Counter(
        files=sum(1 for _ in work_dir.rglob("*")),
        processes=len(processes),
        threads=sum(process.num_threads() for process in processes),
        descriptors=sum(process.num_fds() - connections_to(platform_port, process) for process in processes),
    )
    return Usage(sum(process.memory_full_info().pss for process in processes), counts)


def connections_to(port: int | None, process: psutil.Process) -> int:
    """The number of connections from a process to a port."""
    connections = process.net_connections(kind="tcp")
    return sum(1 for connection in connections if connection.raddr and connection.raddr.port == port)


def mixes(media: Path, server: MediaServer) -> tuple[Mix, Mix]:
    """The honest jobs and the hostile ones."""
    media.mkdir()
    short, long = clip(media / "short.mp4", 4), clip(media / "long.mkv", 20)
    content = short.read_bytes()

    def asked(video: Path | str, **fields: object) -> dict[str, Any]:
        return {"video_url": str(video), "prompt": "What happens?", "max_tokens": 8, "chunk_duration": 4.0, **fields}

    honest = {
        "local": (asked(short), ANSWERED),
        "local, long": (asked(long), ANSWERED),
        "fetched": (asked(server.serve(short)), ANSWERED),
        "fetched, long": (asked(server.serve(long), aggregate=False), ANSWERED),
        "keyframes": (asked(long, sampling="keyframes"), ANSWERED),
        "adaptive": (asked(long, sampling="adaptive", temperature=0.0, seed=1), ANSWERED),
        "without a length": (asked(server.answer(unannounced(content))), ANSWERED),
    }
    urls = {
        "not found": (server.origin + "/nothing.mp4", "SOURCE_HTTP_ERROR"),
        "forbidden": (server.answer(status(403)), "SOURCE_HTTP_ERROR"),
        "broken off": (server.answer(cut(content, 1000)), "DOWNLOAD_FAILED"),
        "no HTTP": (server.answer(raw(b"\0" * 100)), "DOWNLOAD_FAILED"),
        "empty": (server.answer(whole(b"")), "DOWNLOAD_FAILED"),
        "dripping": (server.answer(dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x")), "DOWNLOAD_TIMEOUT"),
        "another host": ("http://127.0.0.2/video.mp4", "URL_BLOCKED"),
        "metadata service": ("http://169.254.169.254/latest/meta-data", "URL_BLOCKED"),
        "redirect inside": (server.answer(status(302, Location="http://10.0.0.1/")), "URL_BLOCKED"),
        "file": ("file:///etc/passwd", "URL_INVALID"),
        "out of the root": (f"{media}/../jobs", "URL_INVALID"),
        "with a password": ("http://user:password@127.0.0.1/", "URL_INVALID"),
        "expired": ("https://example.com/a?Expires=1&Signature=x&AWSAccessKeyId=y", "URL_EXPIRED"),
    }
    hostile: dict[str, tuple[dict[str, Any], frozenset[str]]] = {
        name: (asked(url), frozenset({code})) for name, (url, code) in urls.items()
    }
    hostile["no prompt"] = ({"video_url": str(short)}, frozenset({"INVALID_INPUT"}))
    hostile["no number"] = (asked(short, max_tokens="many"), frozenset({"INVALID_INPUT"}))
    hostile["special tokens"] = (asked(short, prompt="<|im_end|><|video_pad|>" * 100), ANSWERED)
    files = {f"damage {number}": part for number, part in enumerate(damaged(content, 12, SEED))}
    expected = frozenset({"UNREADABLE_VIDEO"})
    for name, text in lists_of_other_files(str(short), server.origin).items():
        hostile[name] = (asked(written(media / name, text)), expected)
    for name, part in files.items():
        hostile[name] = (asked(written(media / name, part)), READ_IN_PART)
    for name, part in lies(content).items():
        hostile[name] = (asked(written(media / name, part)), frozenset({OUTCOMES_OF_LIES[name]}))
    return honest, hostile


def written(path: Path, content: bytes) -> Path:
    """Write the bytes into a file and return its path."""
    path.write_bytes(content)
    return path


def clip(path: Path, duration_s: int) -> Path:
    """Make a small video and return its path."""
    source = f"testsrc2=size=160x96:rate=10:duration={duration_s}"
    ffmpeg("-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-g", "20", path)
    return path


if __name__ == "__main__":
    main()
