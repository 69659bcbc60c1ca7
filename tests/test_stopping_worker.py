"""No job is lost that arrives while the worker stops: it is answered, or stays in the platform's queue.

The platform learns from an answer or from the queue alone: a job that a worker took and never ran stays in progress.
"""

import signal
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Self

import pytest

from jobs import job_input
from media_server import Exchange, MediaServer
from runpod_stand_in import JobRecord
from tiny_model.environment import environment
from worker_process import START_TIMEOUT_S, Worker, running_worker

EXIT_TIMEOUT_S = 60.0
"""Of a worker on a busy machine; polls of the SDK would hold it for up to 90 s."""
MISSING = job_input("/missing.mp4")
"""A job that is answered at once, with an error."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    with running_worker(environment() | {"DOWNLOAD_ALLOW_PRIVATE": "127.0.0.1"}, tmp_path) as started:
        yield started


class HeldSource:
    """A video whose server answers at the end of the context, and then that there is none."""

    def __init__(self, server: MediaServer) -> None:
        self.url = server.answer(self._answer)
        self._asked, self._answering = threading.Event(), threading.Event()

    def _answer(self, exchange: Exchange) -> None:
        self._asked.set()
        self._answering.wait(START_TIMEOUT_S)
        exchange.reply(HTTPStatus.NOT_FOUND)

    def wait_until_asked(self) -> None:
        assert self._asked.wait(START_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answering.set()


def submit_once_stopping(worker: Worker) -> JobRecord:
    """Submit a job when the worker has closed its poll, or has kept it for two pings, which are a second apart.

    By then a worker that runs nothing runs no job that it still takes.
    """
    record = worker.platform.worker()
    pings = len(record.pings)
    worker.platform.wait_until(lambda: not record.polling or len(record.pings) > pings + 1, what="a worker that stops")
    return worker.platform.submit(MISSING)


def assert_not_lost(worker: Worker, job: JobRecord) -> None:
    """The worker has ended as it should, and what it took it has answered."""
    worker.platform.wait_until(lambda: not worker.platform.worker().polling, what="an end of polling")
    assert worker.process.wait(EXIT_TIMEOUT_S) == 0
    assert "Traceback" not in worker.log.read_text()
    assert (job.status, len(job.results)) in [("IN_QUEUE", 0), ("FAILED", 1)]


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_arrives_while_an_idle_worker_stops_is_not_lost(name: signal.Signals, worker: Worker) -> None:
    worker.platform.wait_until(lambda: worker.platform.worker().polling, what="a poll")
    worker.process.send_signal(name)
    job = submit_once_stopping(worker)
    assert_not_lost(worker, job)


def test_a_job_that_arrives_at_the_same_moment_as_the_signal_is_not_lost(worker: Worker) -> None:
    worker.platform.wait_until(lambda: worker.platform.worker().polling, what="a poll")
    job = worker.platform.submit(MISSING)
    worker.process.terminate()
    assert_not_lost(worker, job)


def test_of_the_jobs_that_arrive_while_a_worker_finishes_its_own_none_is_lost(
    worker: Worker, server: MediaServer
) -> None:
    with HeldSource(server) as source:
        running = worker.platform.submit(job_input(source.url))
        source.wait_until_asked()
        worker.platform.wait_until(lambda: worker.platform.worker().polling, what="a poll for more")
        worker.process.terminate()

        first = submit_once_stopping(worker)
        worker.platform.wait_until(lambda: first.is_over or not worker.platform.worker().polling, what="an answer")
        second = submit_once_stopping(worker)
        for _ in range(2):
            worker.platform.wait_for_ping()
        assert second.status == "IN_QUEUE"  # what one poll brings is run, but there is no other poll
    worker.platform.wait_for_status(running.id, "FAILED")
    third = submit_once_stopping(worker)

    for job in (first, second, third):
        assert_not_lost(worker, job)
