"""A job's directory is its own, and nothing of it stays, whatever becomes of the worker."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from errors import DiskFull
from job_directory import job_directory, sweep

ROOT = Path(__file__).parents[1]
JOB = """
import asyncio, os, signal, sys
from pathlib import Path
from errors import DiskFull
from job_directory import job_directory

async def main():
    async with job_directory(Path(sys.argv[1])) as directory:
        (directory / "source").write_bytes(b"film")
        print(directory.name, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def names(directory: Path | str) -> set[str]:
    return {path.name for path in Path(directory).iterdir()}


async def test_a_directory_is_this_users_alone_and_gone_afterwards(tmp_path: Path) -> None:
    async with job_directory(tmp_path / "jobs") as first, job_directory(tmp_path / "jobs") as second:
        assert first != second
        assert first.stat().st_mode & 0o777 == 0o700
        (first / "source").write_bytes(b"film")
    assert names(tmp_path / "jobs") == set()


async def test_a_job_that_fails_leaves_nothing_and_no_descriptor(tmp_path: Path) -> None:
    async def fail() -> None:
        async with job_directory(tmp_path) as directory:
            (directory / "source").write_bytes(b"film")
            raise KeyError

    before = names("/proc/self/fd")
    with pytest.raises(KeyError):
        await fail()
    assert (names(tmp_path), names("/proc/self/fd")) == (set(), before)


async def test_what_a_killed_worker_left_is_swept_and_running_jobs_stay(tmp_path: Path) -> None:
    command = [sys.executable, "-c", JOB, str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False)
    left = tmp_path / killed.stdout.strip()
    assert (left / "source").exists()
    (tmp_path / "something-else").mkdir()
    async with job_directory(tmp_path) as running:
        sweep(tmp_path)
        assert names(tmp_path) == {running.name, "something-else"}


def test_a_worker_that_never_had_a_job_has_nothing_to_sweep(tmp_path: Path) -> None:
    sweep(tmp_path / "jobs")


async def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(DiskFull):
        async with job_directory(tmp_path):
            pass


async def test_a_file_that_cannot_be_removed_does_not_cost_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    async with job_directory(tmp_path) as directory:
        (directory / "source").write_bytes(b"film")
        monkeypatch.setattr("os.unlink", refuse)
    monkeypatch.undo()
    assert (names(directory), "Device or resource busy" in caplog.text) == ({"source"}, True)


def test_what_is_no_directory_does_not_keep_a_worker_from_starting(tmp_path: Path) -> None:
    (tmp_path / "job-notes").write_text("kept")
    sweep(tmp_path)
    assert names(tmp_path) == {"job-notes"}
