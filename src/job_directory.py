"""A job's own directory, removed at its end; what a worker that was killed left behind is removed by the next one."""

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from errors import DiskFull

log = logging.getLogger(__name__)

PREFIX = "job-"


@asynccontextmanager
async def job_directory(work_dir: Path) -> AsyncIterator[Path]:
    """Give a job a directory that only this user may enter, gone afterwards.

    While the job runs it is locked, which tells `sweep` that it is in use; the lock dies with the process.

    Raises:
        DiskFull: there is no room for it.
    """
    directory = _make(work_dir)  # not in a thread: a job that is cancelled meanwhile would never learn of it
    with _locked(directory):
        try:
            yield directory
        finally:
            await asyncio.to_thread(shutil.rmtree, directory, onerror=_log_what_stays)


def _make(work_dir: Path) -> Path:
    try:
        work_dir.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=work_dir))
    except OSError as exc:
        if exc.errno in DiskFull.ERRNOS:
            raise DiskFull("The worker's disk is full.") from exc
        raise


def _log_what_stays(_function: object, path: str, error: tuple[type[BaseException], BaseException, object]) -> None:
    """The job's answer is worth more than the file; the next worker's sweep tries again."""
    log.error("could not remove %s: %s", path, error[1])


def sweep(work_dir: Path) -> None:
    """Remove the directories of jobs whose worker is no more; those of workers that run, or of other users, stay."""
    for directory in work_dir.glob(f"{PREFIX}*"):
        # In use, another user's, removed by another worker just now, or no directory.
        with suppress(BlockingIOError, PermissionError, FileNotFoundError, NotADirectoryError), _locked(directory):
            shutil.rmtree(directory)
            log.warning("removed what a job of a worker that was killed left behind")


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
