"""Child processes are bounded in time, receive no secret, and are gone when they are no longer needed."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import MediaError, MediaTimeout
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
    assert limits[:3] == ["0", str(wrappers.MAX_OPEN_FILES), str(wrappers.MAX_ADDRESS_SPACE_BYTES // 1024)]
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


@pytest.mark.parametrize("missing", [wrappers.RESOURCE_LIMITS, wrappers.DIE_WITH_WORKER])
def test_a_wrapper_that_does_not_work_is_left_out_and_logged(
    missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    works = wrappers._works
    monkeypatch.setattr(wrappers, "_works", lambda argv: argv[0] != missing[0] and works(argv))

    argv = wrappers.wrapper_argv.__wrapped__()

    assert missing[0] not in argv
    assert argv
    assert "run without" in caplog.text


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


def test_a_child_that_stalls_between_two_reads_times_out():
    with SandboxedProcess(python("import time; print('1234', end='', flush=True); time.sleep(60)"), 0.5) as process:
        assert process.read_into(memoryview(bytearray(4)))
        with pytest.raises(MediaTimeout):
            process.read_into(memoryview(bytearray(4)))

    assert not is_running(process.pid)


def test_buffers_are_filled_in_order_and_every_read_after_the_end_returns_false():
    first, second = bytearray(3), bytearray(3)
    with SandboxedProcess(["printf", "abcdef"], 20) as process:
        filled = [process.read_into(memoryview(buffer)) for buffer in (first, second)]
        ended = [process.read_into(memoryview(bytearray(3))) for _ in range(2)]

    assert (filled, bytes(first), bytes(second), ended) == ([True, True], b"abc", b"def", [False, False])


def test_an_output_that_ends_in_the_middle_of_a_buffer_is_an_error():
    with SandboxedProcess(["printf", "abcd"], 20) as process, pytest.raises(MediaError):
        process.read_into(memoryview(bytearray(5)))


def test_leaving_the_context_kills_the_child_and_everything_it_started():
    with SandboxedProcess(["sh", "-c", "sleep 60 & echo $!; wait"], 20) as process:
        number = bytearray(1)
        digits = b""
        while process.read_into(memoryview(number)) and number != b"\n":
            digits += number
        assert is_running(int(digits))

    assert not is_running(process.pid)
    assert becomes_true(lambda: not is_running(int(digits)))


def test_kill_unblocks_a_reading_thread_and_leaves_no_descriptor_open(caplog: pytest.LogCaptureFixture):
    before = open_descriptors()
    process = SandboxedProcess(SILENT, 60)
    outcome: list[Exception] = []

    def read() -> None:
        try:
            process.read_all()
        except MediaError as error:
            outcome.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.1)
    process.kill()
    process.kill()
    reader.join(5)

    assert not reader.is_alive()
    assert len(outcome) == 1
    assert open_descriptors() == before
    assert "ended with" not in caplog.text, "killing a child is not logged as a failure"


async def test_cancelling_a_run_kills_the_child(tmp_path: Path):
    before, threads = open_descriptors(), threading.active_count()
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
    assert threading.active_count() <= threads + 1, "the executor's idle thread"


def test_starting_and_killing_many_children_leaves_no_descriptor_open():
    before = open_descriptors()

    for _ in range(20):
        with SandboxedProcess(SILENT, 60):
            pass

    assert open_descriptors() == before
