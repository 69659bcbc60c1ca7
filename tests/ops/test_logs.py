"""Every log line names the job that it belongs to, and no library's line brings a URL into the log."""

import asyncio
import logging
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import handler
from config import Settings
from errors import MediaError
from fakes import ScriptedEngine
from jobs import job_input
from media_server import MediaServer, cut, whole
from ops.logs import LIBRARY_LEVELS, NO_JOB, JobFilter, configure_logging, job_context
from sandbox import process

log = logging.getLogger("test")


class JobLines(logging.Handler):
    """Collects `logger name: message` by the job that the line names."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(JobFilter())
        self.by_job: dict[str, list[str]] = defaultdict(list)

    def emit(self, record: logging.LogRecord) -> None:
        self.by_job[vars(record)["job"]].append(f"{record.name}: {record.getMessage()}")


@pytest.fixture
def lines() -> Iterator[JobLines]:
    """Every line that is logged during the test."""
    root, collected = logging.getLogger(), JobLines()
    level = root.level
    root.addHandler(collected)
    root.setLevel(logging.INFO)
    yield collected
    root.removeHandler(collected)
    root.setLevel(level)


@pytest.fixture
def unconfigured_logging() -> Iterator[None]:
    """Logging as a new process has it; the session's handlers and levels are restored afterwards."""
    root, libraries = logging.getLogger(), [logging.getLogger(name) for name in LIBRARY_LEVELS]
    handlers, levels = root.handlers[:], [logger.level for logger in (root, *libraries)]
    root.handlers.clear()
    for library in libraries:
        library.setLevel(logging.NOTSET)
    yield
    root.handlers[:] = handlers
    for logger, level in zip((root, *libraries), levels, strict=True):
        logger.setLevel(level)


@pytest.fixture
def film(twelve_seconds: Path) -> bytes:
    return twelve_seconds.read_bytes()


def test_a_line_outside_of_every_job_says_so(lines: JobLines) -> None:
    log.info("started")
    assert lines.by_job == {NO_JOB: ["test: started"]}


async def test_tasks_and_threads_of_a_job_inherit_its_id(lines: JobLines) -> None:
    async def task() -> None:
        log.info("in a task")
        await asyncio.to_thread(log.info, "in a thread")

    with job_context("job-1"):
        await asyncio.create_task(task())
    log.info("afterwards")
    assert lines.by_job == {"job-1": ["test: in a task", "test: in a thread"], NO_JOB: ["test: afterwards"]}


async def test_two_jobs_at_the_same_time_keep_their_ids_apart(lines: JobLines) -> None:
    both_run = threading.Barrier(2)

    def work(name: str) -> None:
        both_run.wait(timeout=20)
        log.info(name)
        both_run.wait(timeout=20)

    async def run(name: str) -> None:
        with job_context(name):
            await asyncio.to_thread(work, name)
            log.info(name)

    await asyncio.gather(run("first"), run("second"))
    assert lines.by_job == {name: [f"test: {name}"] * 2 for name in ("first", "second")}


async def test_what_a_child_process_wrote_is_logged_under_the_job_that_started_it(lines: JobLines) -> None:
    async def run(name: str) -> None:
        with job_context(name), pytest.raises(MediaError):
            await process.run(["sh", "-c", f"echo complaint of {name} >&2; exit 3"], 20)

    await asyncio.gather(run("first"), run("second"))
    for name in ("first", "second"):
        assert lines.by_job[name][-1] == f"sandbox.process: media process ended with 3: complaint of {name}"


@pytest.mark.usefixtures("no_backoff")
async def test_every_line_of_two_jobs_that_run_at_the_same_time_names_its_own_job(
    film: bytes, server: MediaServer, serve_with: Callable[..., None], lines: JobLines
) -> None:
    both_fetch = threading.Barrier(2)

    def together(answer: Callable[..., object]) -> Callable[..., None]:
        def wait_and_answer(exchange: object) -> None:
            both_fetch.wait(timeout=20)
            answer(exchange)

        return wait_and_answer

    films = {"plain": film, "padded": film + b"\0" * 1000}  # their lines differ in the number of bytes
    urls = {name: server.answer(together(whole(content))) for name, content in films.items()}
    urls["broken"] = server.answer(cut(film, 1000))
    serve_with(ScriptedEngine())

    answers = await asyncio.gather(
        *(handler.handler({"id": name, "input": job_input(url)}) for name, url in urls.items())
    )

    assert [answer.get("status", "failed") for answer in answers] == ["complete", "complete", "failed"]
    assert set(lines.by_job) <= {*urls, NO_JOB}
    for name, content in films.items():
        fetched = [line for line in lines.by_job[name] if line.startswith("sources.http:")]
        assert fetched == [f"sources.http: fetched {len(content)} bytes from 127.0.0.1"]
        loggers = {line.partition(":")[0] for line in lines.by_job[name]}
        assert {"worker", "frames.assembly", "sources.http"} <= loggers
    assert [line.partition(": DOWN")[0] for line in lines.by_job["broken"]] == ["worker: the job failed"]
    assert [line for line in lines.by_job[NO_JOB] if not line.startswith("asyncio")] == []


@pytest.mark.usefixtures("unconfigured_logging")
def test_a_line_in_the_log_shows_level_job_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings())
    with job_context("job-1"):
        log.warning("see https://host/film.mp4?signature=secret")
    written = capsys.readouterr().err
    assert re.fullmatch(r"[-\d]+ [\d:,]+ WARNING \[job-1\] test see https://host/film\.mp4\?…\n", written)


@pytest.mark.usefixtures("unconfigured_logging")
def test_urllib3_logs_errors_only_since_its_other_lines_have_urls(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # as importing runpod does
    configure_logging(Settings(log_level="DEBUG"))
    logging.getLogger("urllib3.connectionpool").warning("Retrying: /film.mp4")
    logging.getLogger("urllib3.connectionpool").error("broken")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("ERROR [-] urllib3.connectionpool broken")
