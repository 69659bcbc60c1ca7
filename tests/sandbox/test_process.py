"""Children of the worker are bounded in time, told no secret, and gone when they are no longer needed."""

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
from sandbox import limits as sandbox
from sandbox import process
from sandbox.process import MediaProcess

SRC = Path(__file__).parents[2] / "src"
SILENT = ["sleep", "60"]


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def is_running(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def comes_true(condition: Callable[[], bool]) -> bool:
    """Whether something does within seconds; the kernel may take a moment to end what was killed."""
    deadline_s = time.monotonic() + 10
    while not (has_come := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return has_come


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


async def test_the_whole_output_comes_back_however_large():
    output = await process.run(python("print('x' * 3_000_000, end='')"), 20)

    assert output == b"x" * 3_000_000


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_child_that_floods_its_pipes_ends_in_time_and_takes_no_memory(stream: str):
    flood = python(f"import sys\nwhile True: sys.{stream}.write('x' * 65536)")

    started_s = time.monotonic()
    with pytest.raises(MediaError):
        await process.run(flood, 1)
    assert time.monotonic() - started_s < 5


async def test_a_child_sees_no_variable_but_the_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUNPOD_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")

    output = await process.run(["env"], 20)

    assert output.decode().splitlines() == [f"PATH={os.environ['PATH']}"]


async def test_a_child_is_limited_and_can_gain_nothing():
    shown = await process.run(
        ["sh", "-c", "ulimit -c; ulimit -n; ulimit -v; grep -E '^(NoNewPrivs|Cap(Eff|Bnd))' /proc/self/status"], 20
    )

    limits = [line.split()[-1] for line in shown.decode().splitlines()]
    no_capabilities = ["0" * 16] * 2 if os.geteuid() == 0 else limits[3:5]
    assert limits[:3] == ["0", str(sandbox.MAX_OPEN_FILES), str(sandbox.MAX_ADDRESS_SPACE_BYTES // 1024)]
    assert limits[3:] == [*no_capabilities, "1"]


def test_a_child_dies_with_the_worker():
    start = """if True:
        from sandbox.process import MediaProcess
        process = MediaProcess(["sleep", "60"], 60)
        print(process.pid, flush=True)
        input()
    """
    worker = subprocess.Popen(
        [sys.executable, "-c", start], cwd=SRC, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout
    child = int(worker.stdout.readline())
    assert comes_true(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n"), "the sandbox is complete"

    worker.kill()
    worker.communicate()

    assert comes_true(lambda: not is_running(child))


@pytest.mark.parametrize("missing", [sandbox.LIMITS, sandbox.DIES_WITH_WORKER])
def test_a_machine_that_lacks_a_part_of_the_sandbox_uses_the_others_and_says_so(
    missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    works = sandbox._works
    monkeypatch.setattr(sandbox, "_works", lambda argv: argv[0] != missing[0] and works(argv))

    prefix = sandbox.prefix.__wrapped__()

    assert missing[0] not in prefix
    assert prefix
    assert "run without" in caplog.text


async def test_a_failure_is_told_to_the_log_and_not_to_the_caller(caplog: pytest.LogCaptureFixture):
    with pytest.raises(MediaError) as caught:
        await process.run(["sh", "-c", "echo cannot open /secret/path >&2; exit 3"], 20)

    assert type(caught.value) is MediaError
    assert "secret" not in str(caught.value)
    assert "ended with 3: cannot open /secret/path" in caplog.text


async def test_only_the_end_of_a_long_complaint_is_kept(caplog: pytest.LogCaptureFixture):
    complain = python("import sys; sys.stderr.write('y' * 1_000_000 + 'the end'); sys.exit(1)")

    with pytest.raises(MediaError):
        await process.run(complain, 20)

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
    ids=["silent", "drips", "complains", "closes its output and goes on"],
)
async def test_a_run_ends_at_its_deadline_whatever_the_child_does(argv: list[str]):
    started_s = time.monotonic()

    with pytest.raises(MediaTimeout):
        await process.run(argv, 0.4)

    assert time.monotonic() - started_s < 3


def test_a_stalled_child_is_given_up_after_the_wait_for_one_output():
    with MediaProcess(python("import time; print('1234', end='', flush=True); time.sleep(60)"), 0.5) as process:
        assert process.read_into(memoryview(bytearray(4)))
        with pytest.raises(MediaTimeout):
            process.read_into(memoryview(bytearray(4)))

    assert not is_running(process.pid)


def test_buffers_are_filled_and_the_end_is_told_as_often_as_asked():
    first, second = bytearray(3), bytearray(3)
    with MediaProcess(["printf", "abcdef"], 20) as process:
        filled = [process.read_into(memoryview(buffer)) for buffer in (first, second)]
        ended = [process.read_into(memoryview(bytearray(3))) for _ in range(2)]

    assert (filled, first, second, ended) == ([True, True], b"abc", b"def", [False, False])


def test_an_output_that_ends_inside_a_buffer_is_an_error():
    with MediaProcess(["printf", "abcd"], 20) as process, pytest.raises(MediaError):
        process.read_into(memoryview(bytearray(5)))


def test_leaving_the_context_kills_the_child_and_all_it_started():
    with MediaProcess(["sh", "-c", "sleep 60 & echo $!; wait"], 20) as process:
        number = bytearray(1)
        digits = b""
        while process.read_into(memoryview(number)) and number != b"\n":
            digits += number
        assert is_running(int(digits))

    assert not is_running(process.pid)
    assert comes_true(lambda: not is_running(int(digits)))


def test_killing_ends_a_blocked_reader_and_leaves_no_descriptor_open(caplog: pytest.LogCaptureFixture):
    before = open_descriptors()
    process = MediaProcess(SILENT, 60)
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
    assert "ended with" not in caplog.text, "a child that we killed is no failure"


async def test_cancelling_a_run_kills_its_child(tmp_path: Path):
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


def test_many_children_at_once_come_and_go_without_leaving_anything():
    before = open_descriptors()

    for _ in range(20):
        with MediaProcess(SILENT, 60):
            pass

    assert open_descriptors() == before
