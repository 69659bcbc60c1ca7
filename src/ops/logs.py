"""How the worker logs: format, secrets, and the id of the job that a line belongs to."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from config import Settings
from ops.redaction import SECRET_NAME, RedactingFormatter

LOG_FORMAT = "%(asctime)s %(levelname)s [%(job)s] %(name)s %(message)s"
NO_JOB = "-"
"""Stands for the job's id in lines that belong to no job."""
LIBRARY_LEVELS = {"urllib3": logging.ERROR, "httpcore2": logging.WARNING}
"""Levels of loggers outside the worker. Below these, urllib3 and httpcore2 log URLs and headers with signatures."""

_job_id: ContextVar[str] = ContextVar("job_id", default=NO_JOB)


@contextmanager
def job_context(job_id: str) -> Iterator[None]:
    """Give every line that is logged inside the block the id of a job.

    Tasks created and threads started by asyncio.to_thread inside the block inherit the id, since asyncio copies the
    context for both. Jobs that run at the same time do not see each other's id.
    """
    token = _job_id.set(job_id)
    try:
        yield
    finally:
        _job_id.reset(token)


class JobFilter(logging.Filter):
    """Passes every record, and sets its attribute `job` to the id of the current job, or to NO_JOB.

    Add it to handlers, not to loggers: a logger's filters are skipped for records of the loggers below it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attribute; always True."""
        record.job = _job_id.get()
        return True


def configure_logging(settings: Settings) -> None:
    """Log to stderr at the configured level, with job ids and without secrets.

    Call it after importing runpod, which configures the root logger and urllib3's too; this replaces both.
    """
    to_stderr = logging.StreamHandler(sys.stderr)
    secrets = [value for name, value in os.environ.items() if SECRET_NAME.search(name)]
    to_stderr.setFormatter(RedactingFormatter(LOG_FORMAT, secrets))
    to_stderr.addFilter(JobFilter())
    logging.basicConfig(level=settings.log_level, handlers=[to_stderr], force=True)
    set_library_levels()


def set_library_levels() -> None:
    """Raise the levels of libraries whose lines must not be logged."""
    for name, level in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(level)
