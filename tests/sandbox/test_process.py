"""Child processes are bounded in time, receive no secret, and are gone when they are no longer needed."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from errors import MediaError, MediaTimeout
from own_thread import in_own_thread
from sandbox import process, wrappers
from sandbox.process import SandboxedProcess

SRC = Path(__file__).parents[2] / "src"
SILENT = ["sleep", "60"]


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def becomes_true(condition: Callable[[], bool]) -> bool:
    """Whether a condition becomes true within ten seconds; the kernel takes a moment to end a killed process."""
    deadline_s = time.monotonic() + 10
    while not (is_true := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return is_true


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@asynccontextmanager
async def being_read(child: SandboxedProcess) -> AsyncIterator[asyncio.Task[bytes]]:
    """Read a child's output; the block begins once the thread that reads waits for it."""
    selecting = asyncio.Event()
    loop, select = asyncio.get_running_loop(), child._selector.select

    def noted(timeout_s: float | None = None) -> Any:
        loop.call_soon_threadsafe(selecting.set)
        return select(timeout_s)

    vars(child._selector)["select"] = noted
    reading = asyncio.create_task(in_own_thread(child.read_all))
    await selecting.wait()
    yield reading
    child.kill()
    await asyncio.wait([reading])


async def test_a_large_output_is_returned_whole():
    output = await process.run(python("print('x' * 3_000_000, end='')"), 20)

    assert output == b"x" * 3_000_000


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_child_that_writes_without_end_is_stopped_in_time(stream: str):
    flood = python(f"import sys\nwhile True: sys.{stream}.write('x' * 65536)")

    started_s = time.monotonic()
    with pytest.raises(MediaError):
        await process.run(flood, 1)
    assert time.monotonic() - started_s < 5


async def test_a_child_sees_only_the_environment_variable_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNPOD_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")

    output = await process.run(["env"], 20)

    assert output.decode().splitlines() == [f"PATH={os.environ['PATH']}"]


async def test_a_child_has_resource_limits_and_no_way_to_gain_privileges():
    printed = await process.run(
        ["sh", "-c", "ulimit -c; ulimit -n; ulimit -v; grep -E '^(NoNewPrivs|Cap(Eff|Bnd))' /proc/self/status"], 20
    )

    limits = [line.split()[-1] for line in printed.decode().splitlines()]
    no_capabilities = ["0" * 16] * 2 if os.geteuid() == 0 else limits[3:5]
    assert limits[:3] == ["0", str(wrappers.MAX_OPEN_FILES), str(wrappers.MAX_MEMORY_BYTES // 1024)]
    assert limits[3:] == [*no_capabilities, "1"]


def test_a_child_dies_with_the_worker():
    start = """if True:
        from sandbox.process import SandboxedProcess
        process = SandboxedProcess(["sleep", "60"], 60)
        print(process.pid, flush=True)
        input()
    """
    worker = subprocess.Popen(
        [sys.executable, "-c", start], cwd=SRC, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout
    child = int(worker.stdout.readline())
    assert becomes_true(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n"), (
        "the wrappers have started the program"
    )

    worker.kill()
    worker.communicate()

    assert becomes_true(lambda: not is_running(child))


@pytest.mark.usefixtures("untried_layers")
@pytest.mark.parametrize(("command", "name"), [("prlimit", "resource limits"), ("--pdeathsig=KILL", "death with")])
def test_a_wrapper_that_does_not_work_is_left_out(command: str, name: str, monkeypatch: pytest.MonkeyPatch):
    works = wrappers._works
    monkeypatch.setattr(wrappers, "_works", lambda argv: command not in argv and works(argv))

    argv = wrappers.wrapper_argv()

    assert command not in argv
    assert argv
    assert wrappers.missing_layers()[0].startswith(name)


@pytest.mark.usefixtures("untried_layers")
@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("sandbox.seccomp.is_supported", "no sockets, no other programs, no signals"),
        ("sandbox.landlock.abi_version", "no other files"),
        ("sandbox.wrappers._works", "resource limits"),
    ],
)
def test_every_missing_layer_is_warned_of_once(
    function: str, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(function, lambda *_: 0)

    wrappers.wrapper_argv()
    wrappers.wrapper_argv()

    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings.count(f"media processes run without: {name}") == 1
    assert len(warnings) == len(wrappers.missing_layers())


async def test_what_a_failed_child_wrote_to_stderr_is_logged_and_kept_from_the_caller(caplog: pytest.LogCaptureFixture):
    with pytest.raises(MediaError) as caught:
        await process.run(["sh", "-c", "echo cannot open /secret/path >&2; exit 3"], 20)

    assert type(caught.value) is MediaError
    assert "secret" not in str(caught.value)
    assert "ended with 3: cannot open /secret/path" in caplog.text


async def test_only_the_end_of_a_long_stderr_is_kept(caplog: pytest.LogCaptureFixture):
    failing = python("import sys; sys.stderr.write('y' * 1_000_000 + 'the end'); sys.exit(1)")

    with pytest.raises(MediaError):
        await process.run(failing, 20)

    assert caplog.messages[-1].endswith("the end")
    assert len(caplog.messages[-1]) < 3000


@pytest.mark.parametrize(
    "argv",
    [
        SILENT,
        python("import time\nwhile True: print('drip', flush=True); time.sleep(0.05)"),
        python("import sys, time\nwhile True: print('drip', flush=True, file=sys.stderr); time.sleep(0.05)"),
        ["sh", "-c", "exec >&-; sleep 60"],
    ],
    ids=["silent", "drips on stdout", "drips on stderr", "closes stdout and goes on"],
)
async def test_a_run_ends_at_its_timeout_whatever_the_child_does(argv: list[str]):
    started_s = time.monotonic()

    with pytest.raises(MediaTimeout):
        await process.run(argv, 0.4)

    assert time.monotonic() - started_s < 3


async def test_a_child_that_stalls_between_two_reads_times_out():
    async with SandboxedProcess(
        python("import time; print('1234', end='', flush=True); time.sleep(60)"), 0.5
    ) as process:
        assert process.read_into(memoryview(bytearray(4)))
        with pytest.raises(MediaTimeout):
            process.read_into(memoryview(bytearray(4)))

    assert not is_running(process.pid)


async def test_buffers_are_filled_in_order_and_every_read_after_the_end_returns_false():
    first, second = bytearray(3), bytearray(3)
    async with SandboxedProcess(["printf", "abcdef"], 20) as process:
        filled = [process.read_into(memoryview(buffer)) for buffer in (first, second)]
        ended = [process.read_into(memoryview(bytearray(3))) for _ in range(2)]

    assert (filled, bytes(first), bytes(second), ended) == ([True, True], b"abc", b"def", [False, False])


async def test_an_output_that_ends_in_the_middle_of_a_buffer_is_an_error():
    async with SandboxedProcess(["printf", "abcd"], 20) as process:
        with pytest.raises(MediaError):
            process.read_into(memoryview(bytearray(5)))


async def test_leaving_the_context_kills_the_child_and_everything_it_started():
    async with SandboxedProcess(["sh", "-c", "sleep 60 & echo $!; wait"], 20) as process:
        number = bytearray(1)
        digits = b""
        while process.read_into(memoryview(number)) and number != b"\n":
            digits += number
        assert is_running(int(digits))

    assert not is_running(process.pid)
    assert becomes_true(lambda: not is_running(int(digits)))


async def test_leaving_the_context_unblocks_a_reading_thread_and_leaves_no_descriptor_open(
    caplog: pytest.LogCaptureFixture,
):
    before = open_descriptors()
    async with SandboxedProcess(SILENT, 60) as silent, being_read(silent) as reading:
        silent.kill()
        silent.kill()
        with pytest.raises(MediaError):
            await reading

    assert open_descriptors() == before
    assert "ended with" not in caplog.text, "killing a child is not logged as a failure"


async def test_cancelling_a_run_kills_the_child(tmp_path: Path):
    before, threads = open_descriptors(), set(threading.enumerate())
    pid_file = tmp_path / "pid"
    task = asyncio.create_task(process.run(["sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"], 60))
    async with asyncio.timeout(10):
        while not pid_file.exists() or not pid_file.read_text().strip():
            await asyncio.sleep(0.02)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not is_running(int(pid_file.read_text()))
    assert open_descriptors() == before
    assert becomes_true(lambda: set(threading.enumerate()) <= threads)  # one of another test may end meanwhile


async def test_a_decoder_begins_although_a_process_forked_meanwhile_keeps_its_stdin_open(tmp_path: Path):
    text = tmp_path / "text.mp4"
    text.write_text("This is no video.")
    async with process.DecoderProcess("decoder.probe", 30) as scanner:
        assert scanner._process.stdin
        kept_open = os.dup(scanner._process.stdin.fileno())  # as in a child that was forked and executes nothing
        try:
            scanner.begin(text, "")
            assert b"unreadable" in await in_own_thread(scanner.read_all)
        finally:
            os.close(kept_open)


async def test_starting_and_killing_many_children_leaves_no_descriptor_open():
    before = open_descriptors()

    for _ in range(20):
        async with SandboxedProcess(SILENT, 60):
            pass

    assert open_descriptors() == before


async def test_reading_from_many_slow_children_does_not_keep_another_one_waiting():
    more_than_any_pool = 40  # asyncio's own has at most 32 threads
    async with AsyncExitStack() as slow:
        for _ in range(more_than_any_pool):
            child = await slow.enter_async_context(SandboxedProcess(SILENT, 60))
            await slow.enter_async_context(being_read(child))

        assert await process.run(["printf", "prompt"], 20) == b"prompt"


@asynccontextmanager
async def stuck_in_the_kernel(argv: list[str]) -> AsyncIterator[SandboxedProcess]:
    """A child whose end nobody sees before the block ends, as of one in an uninterruptible call."""
    child, leaves_the_kernel = SandboxedProcess(argv, 60), threading.Event()
    wait = child._process.wait

    def wait_for_the_kernel(timeout_s: float | None = None) -> int:
        leaves_the_kernel.wait()
        return wait(timeout_s)

    vars(child._process)["wait"] = wait_for_the_kernel
    try:
        yield child
    finally:
        leaves_the_kernel.set()
        await asyncio.wrap_future(child._reaped)


async def test_a_child_that_does_not_end_when_it_is_killed_keeps_no_other_one_waiting():
    async with stuck_in_the_kernel(SILENT) as stuck:

        async def leave() -> None:
            async with stuck:
                pass

        leaving = asyncio.create_task(leave())

        assert await process.run(["printf", "prompt"], 20) == b"prompt"
        assert not leaving.done()
    await leaving


async def test_a_child_that_does_not_end_is_left_to_a_thread_and_its_descriptors_are_closed_when_it_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(process, "REAP_TIMEOUT_S", 0)
    before = open_descriptors()

    async with stuck_in_the_kernel(SILENT) as stuck:
        async with stuck, being_read(stuck) as reading:
            pass
        with pytest.raises(MediaError):
            await reading
        assert f"media process {stuck.pid} is still there" in caplog.text
        assert open_descriptors() > before

    assert open_descriptors() == before


async def test_a_job_that_is_cancelled_twice_still_waits_until_its_child_is_gone():
    async with stuck_in_the_kernel(SILENT) as stuck:
        begun = asyncio.Event()

        async def job() -> None:
            async with stuck:
                begun.set()
                await asyncio.Event().wait()

        running = asyncio.create_task(job())
        await begun.wait()
        for _ in range(2):
            running.cancel()
            assert await process.run(["printf", "prompt"], 20) == b"prompt"
            assert not running.done()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_killing_does_not_wait_for_the_child():
    async with stuck_in_the_kernel(SILENT) as stuck:
        stuck.kill()
        assert not stuck._reaped.done()
