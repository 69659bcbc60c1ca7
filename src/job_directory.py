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

log = logging.getLogger(__name__)

PREFIX = "job-"


@asynccontextmanager
async def job_directory(work_dir: Path) -> AsyncIterator[Path]:
    """Give a job a directory that only this user may enter, gone afterwards.

    While the job runs it is locked, which tells `sweep` that it is in use; the lock dies with the process.
    """
    directory = await asyncio.to_thread(_make, work_dir)
    with _locked(directory):
        try:
            yield directory
        finally:
            await asyncio.to_thread(shutil.rmtree, directory)


def _make(work_dir: Path) -> Path:
    work_dir.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=work_dir))


def sweep(work_dir: Path) -> None:
    """Remove the directories of jobs whose worker is no more; those of workers that run, or of other users, stay."""
    for directory in work_dir.glob(f"{PREFIX}*"):
        with suppress(BlockingIOError, PermissionError), _locked(directory):
            log.warning("removed what a job of a worker that was killed left behind")
            shutil.rmtree(directory)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
