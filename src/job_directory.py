"""The directory of a job's files, removed when the job ends.

Directories that a killed worker left behind are removed when the next worker starts.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from errors import DiskFull
from own_thread import in_own_thread

log = logging.getLogger(__name__)

PREFIX = "job-"


@asynccontextmanager
async def job_directory(work_dir: Path) -> AsyncIterator[Path]:
    """Create a directory that only this user may enter, and remove it when the block ends.

    It is locked during the block, which tells `sweep` that it is in use. The lock ends with the process.

    Raises:
        DiskFull: the disk has no room for a directory.
    """
    with ExitStack() as lock:
        directory = _make(work_dir, lock)  # not in a thread: a job cancelled meanwhile could not remove the directory
        try:
            yield directory
        finally:
            await in_own_thread(_remove, directory)


def _make(work_dir: Path, lock: ExitStack) -> Path:
    """Create a directory, locked until `lock` is closed."""
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        with _locked(work_dir, wait=True):  # no sweep may find the new directory before it is locked
            directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=work_dir))
            lock.enter_context(_locked(directory))
    except OSError as exc:
        if exc.errno in DiskFull.ERRNOS:
            raise DiskFull("The worker's disk is full.") from exc
        raise
    return directory


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, onerror=_log_failed_removal)


def _log_failed_removal(_function: object, path: str, error: tuple[type[BaseException], BaseException, object]) -> None:
    """Log instead of raising, since the job has its answer; the next worker's sweep tries again."""
    log.error("could not remove %s: %s", path, error[1])


def sweep(work_dir: Path) -> None:
    """Remove the directories of jobs whose worker has ended; those of running workers and of other users stay."""
    if not work_dir.is_dir():
        return
    with _locked(work_dir, wait=True):
        for directory in work_dir.glob(f"{PREFIX}*"):
            # It is in use, or belongs to another user, or another worker has just removed it, or it is a file.
            with suppress(BlockingIOError, PermissionError, FileNotFoundError, NotADirectoryError), _locked(directory):
                shutil.rmtree(directory)
                log.warning("removed the directory of a job whose worker was killed")


@contextmanager
def _locked(directory: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold an exclusive lock on a directory.

    Raises:
        BlockingIOError: another process or job holds it, and `wait` is false.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)
