"""A process is started beside the event loop, and whoever gives up its start leaves nothing behind."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from own_thread import in_own_thread
from sandbox.process import SandboxedProcess
from sandbox.start import ProcessStart

TIMEOUT_S = 60.0
"""Of the sleeping process, and of waiting for it on a busy machine."""


class GatedStart:
    """Starts a process that sleeps, when the test lets it."""

    def __init__(self) -> None:
        self.begun, self.gate = threading.Event(), threading.Event()
        self.processes: list[SandboxedProcess] = []

    def __call__(self) -> SandboxedProcess:
        self.begun.set()
        assert self.gate.wait(TIMEOUT_S)
        self.processes.append(SandboxedProcess(["sleep", "600"], TIMEOUT_S))
        return self.processes[-1]

    @property
    def is_running(self) -> bool:
        return any(psutil.pid_exists(process.pid) for process in self.processes)


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


@pytest.fixture
def start() -> Iterator[GatedStart]:
    start = GatedStart()
    yield start
    start.gate.set()


async def enter(process: ProcessStart[SandboxedProcess]) -> None:
    async with process:
        await asyncio.Event().wait()


async def test_the_event_loop_goes_on_while_a_process_starts(thread: ThreadPoolExecutor, start: GatedStart):
    starting = ProcessStart(thread, start)
    await in_own_thread(start.begun.wait, TIMEOUT_S)
    start.gate.set()  # on the loop: a start that kept it would wait for ever
    async with starting as process:
        assert psutil.pid_exists(process.pid)
    assert not start.is_running


async def test_a_job_that_is_cancelled_while_its_process_starts_ends_when_that_is_gone(
    thread: ThreadPoolExecutor, start: GatedStart
):
    job = asyncio.create_task(enter(ProcessStart(thread, start)))
    await in_own_thread(start.begun.wait, TIMEOUT_S)
    for _ in range(2):
        job.cancel()
        await asyncio.sleep(0)
    assert not job.done()
    start.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert len(start.processes) == 1
    assert not start.is_running


async def test_a_start_that_is_given_up_before_its_turn_never_happens(thread: ThreadPoolExecutor, start: GatedStart):
    first, second = ProcessStart(thread, start), ProcessStart(thread, start)
    await in_own_thread(start.begun.wait, TIMEOUT_S)
    await second.end()
    start.gate.set()
    await first.end()
    thread.shutdown()
    assert len(start.processes) == 1
    assert not start.is_running


async def test_a_process_that_cannot_be_started_fails_whoever_wants_it_and_nobody_else(
    thread: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
):
    def fail() -> SandboxedProcess:
        raise BlockingIOError("no more processes")

    with pytest.raises(BlockingIOError):
        await enter(ProcessStart(thread, fail))
    await ProcessStart(thread, fail).end()
    assert caplog.text == ""
