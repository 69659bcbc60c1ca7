"""`make bench-download`: what the address guard and the sandbox cost, compared with a plain `requests` download."""

import asyncio
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import requests

from benchmarks.report import publish
from config import Settings
from download import download
from media_server import MediaServer
from sandbox.wrappers import wrapper_argv
from sources.connection import READ_BYTES

LARGE_BYTES, SMALL_BYTES = 10**9, 1000
ROUNDS, SMALL_ROUNDS = 5, 50
IN_MEMORY = "/dev/shm"
"""In memory, because on a disk the write-back of one download's file would slow down the next download."""
TARGETS = {"vs_requests": ">= 0.80", "guard_ms + sandbox_ms": "<= 60"}


def main() -> None:
    """Measure in turn: the worker's download and a plain one, a sandboxed process and a plain one."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
        files = [of_zeros(Path(directory) / str(size), size) for size in (LARGE_BYTES, SMALL_BYTES)]
        with served(files) as (large, small):
            rounds = [(own_s(large), plain_s(large)) for _ in range(ROUNDS)]
            guards_s = [own_s(small) - plain_s(small) for _ in range(SMALL_ROUNDS)]
    sandboxes_s = [process_s(*wrapper_argv()) - process_s() for _ in range(SMALL_ROUNDS)]
    guard_ms, sandbox_ms = 1000 * statistics.median(guards_s), 1000 * statistics.median(sandboxes_s)
    publish(
        "download",
        {
            "vs_requests": statistics.median(plain / own for own, plain in rounds),
            "guard_ms": guard_ms,
            "sandbox_ms": sandbox_ms,
            "guard_ms + sandbox_ms": guard_ms + 2 * sandbox_ms,  # one process reads the packets, one decodes
            "mb_per_s": LARGE_BYTES / 1e6 / statistics.median(own for own, _ in rounds),
        },
        TARGETS,
    )


def of_zeros(path: Path, size_bytes: int) -> Path:
    """Make a sparse file of zeros, which takes no space."""
    with path.open("wb") as file:
        file.truncate(size_bytes)
    return path


@contextmanager
def served(paths: Sequence[Path]) -> Iterator[list[str]]:
    """Serve files from another process, as a source is: in this one it would wait for the same interpreter lock."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(paths, theirs))
    server.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        server.join()


def serve(paths: Sequence[Path], asker: Connection) -> None:
    """Tell the URLs of files, and serve them until told to end."""
    with MediaServer() as server:
        asker.send([server.serve(path) for path in paths])
        asker.recv()


def own_s(url: str) -> float:
    """Seconds that the worker's download takes."""
    settings = Settings(download_allow_private=("127.0.0.1",))
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
        started_s = time.perf_counter()
        asyncio.run(download(url, Path(directory), settings))
        return time.perf_counter() - started_s


def plain_s(url: str) -> float:
    """Seconds that a download takes when written as in the documentation of requests, with the same part size."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
        started_s = time.perf_counter()
        with (
            requests.get(url, stream=True, timeout=30) as answer,
            Path(directory, "a").open("wb") as file,
        ):
            file.writelines(answer.iter_content(READ_BYTES))
        return time.perf_counter() - started_s


def process_s(*prefix: str) -> float:
    """Seconds that a process takes which does nothing."""
    started_s = time.perf_counter()
    subprocess.run([*prefix, "true"], check=True)
    return time.perf_counter() - started_s


if __name__ == "__main__":
    main()
