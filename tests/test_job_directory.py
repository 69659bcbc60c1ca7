"""A job's directory is private, and is removed even if the worker is killed."""

import errno
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from errors import DiskFull
from job_directory import job_directory, sweep

ROOT = Path(__file__).parents[1]
JOB = """
import asyncio, os, signal, sys
from pathlib import Path
import job_directory as job_directory_module
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


async def test_a_directory_is_private_to_this_user_and_removed_afterwards(tmp_path: Path) -> None:
    async with job_directory(tmp_path / "jobs") as first, job_directory(tmp_path / "jobs") as second:
        assert first != second
        assert first.stat().st_mode & 0o777 == 0o700
        (first / "source").write_bytes(b"film")
    assert names(tmp_path / "jobs") == set()


async def test_a_job_that_fails_leaves_no_file_and_no_open_descriptor(tmp_path: Path) -> None:
    async def fail() -> None:
        async with job_directory(tmp_path) as directory:
            (directory / "source").write_bytes(b"film")
            raise KeyError

    before = names("/proc/self/fd")
    with pytest.raises(KeyError):
        await fail()
    assert (names(tmp_path), names("/proc/self/fd")) == (set(), before)


async def test_the_directory_of_a_killed_worker_is_swept_and_those_of_running_jobs_stay(tmp_path: Path) -> None:
    command = [sys.executable, "-c", JOB, str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT / "src", capture_output=True, text=True, check=False)
    left = tmp_path / killed.stdout.strip()
    assert (left / "source").exists()
    (tmp_path / "something-else").mkdir()
    async with job_directory(tmp_path) as running:
        sweep(tmp_path)
        assert names(tmp_path) == {running.name, "something-else"}


def test_sweeping_a_work_directory_that_does_not_exist_does_nothing(tmp_path: Path) -> None:
    sweep(tmp_path / "jobs")


async def test_a_full_disk_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(DiskFull):
        async with job_directory(tmp_path):
            pass


async def test_a_file_that_cannot_be_removed_is_logged_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    async with job_directory(tmp_path) as directory:
        (directory / "source").write_bytes(b"film")
        monkeypatch.setattr("os.unlink", refuse)
    monkeypatch.undo()
    assert (names(directory), "Device or resource busy" in caplog.text) == ({"source"}, True)


def test_sweep_ignores_a_file_with_the_name_of_a_job_directory(tmp_path: Path) -> None:
    (tmp_path / "job-notes").write_text("kept")
    sweep(tmp_path)
    assert names(tmp_path) == {"job-notes"}


async def test_a_sweep_waits_until_a_new_directory_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker sweeps at the moment between making a directory and locking it."""
    made = tempfile.mkdtemp
    sweeping: list[threading.Thread] = []

    def make_while_another_sweeps(**options: Any) -> str:
        directory: str = made(**options)
        sweeping.append(threading.Thread(target=sweep, args=(tmp_path,)))
        sweeping[0].start()
        sweeping[0].join(0.2)  # without a lock it is over by now, and so is the directory
        return directory

    monkeypatch.setattr(tempfile, "mkdtemp", make_while_another_sweeps)
    async with job_directory(tmp_path) as directory:
        sweeping[0].join()
        assert directory.is_dir()
