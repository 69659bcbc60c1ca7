"""A process that opens a video can read that file, take a bounded amount of memory, and do nothing else."""

import re
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from clips import HEIGHT_PX, WIDTH_PX, ClipStore
from config import Settings
from errors import MediaError
from frame_extractor import FrameExtractor
from jobs import media_children
from records import Chunk, SampleGrid
from sandbox import process, seccomp, wrappers
from sandbox.process import SandboxedProcess

WRITABLE, READ_ONLY = "mmap.PROT_READ | mmap.PROT_WRITE", "mmap.PROT_READ"
ESCAPES = {
    "socket": "socket.socket()",
    "program": "os.execv('/bin/true', ['true'])",
    "child": "os.posix_spawn('/bin/true', ['true'], {})",
    "fork": "os.fork()",
    "signal": "os.kill(worker, 0)",
    "signal when a file is ready": "fcntl.fcntl(0, fcntl.F_SETOWN, worker)",
    "limits": "resource.prlimit(worker, resource.RLIMIT_NOFILE, (256, 256))",
    "secrets": "open(f'/proc/{worker}/environ').read()",
    "file": "open('/etc/hostname').read()",
    "directory": "os.listdir(Path(sys.argv[1]).parent)",
    "writing": "open(sys.argv[1], 'a')",
    "leaving": "open(Path(sys.argv[1]).with_name('left'), 'w')",
}


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


@pytest.mark.parametrize("escape", ESCAPES)
async def test_a_confined_process_can_do_nothing_but_read_its_video(escape: str, tmp_path: Path):
    video = tmp_path / "source"
    video.write_text("video")
    program = f"""if True:
        import fcntl, os, resource, socket, sys
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from sandbox.confine import confine
        worker = os.getppid()
        confine(Path(sys.argv[1]), on_gpu=False)
        def escape():
            {ESCAPES[escape]}
        with ThreadPoolExecutor() as pool:
            try:
                pool.submit(escape).result()
            except PermissionError:
                print("denied, except for the", open(sys.argv[1]).read())
    """

    assert await process.run([*python(program), str(video)], 20) == b"denied, except for the video\n"


UNLISTED = {
    "priority of another process": "os.setpriority(os.PRIO_PROCESS, worker, 19)",
    "permissions of a file": "os.chmod(sys.argv[1], 0o777)",
    "times of a file": "os.utime(sys.argv[1])",
    "memory file": "os.memfd_create('program')",
    "name of the machine": "socket.sethostname('taken')",
    "handle of a process": "os.pidfd_open(worker)",
}


@pytest.mark.parametrize("call", UNLISTED)
async def test_a_call_that_decoding_does_not_need_fails_as_if_the_kernel_did_not_know_it(call: str, tmp_path: Path):
    program = f"""if True:
        import errno, os, socket, sys
        from pathlib import Path
        from sandbox.confine import confine
        worker = os.getppid()
        confine(Path(sys.argv[1]), on_gpu=False)
        try:
            {UNLISTED[call]}
        except OSError as error:
            print(errno.errorcode[error.errno])
    """

    assert await process.run([*python(program), str(tmp_path)], 20) == b"ENOSYS\n"


async def test_threads_can_be_started_named_and_given_large_blocks_of_memory(tmp_path: Path):
    program = f"""if True:
        import ctypes, threading, time
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from sandbox.confine import confine
        confine(Path({str(tmp_path)!r}), on_gpu=False)
        def work(size):
            ctypes.CDLL(None).prctl(15, b"worker", 0, 0, 0)
            block = bytearray(size)
            for _ in range(4):
                block += bytes(size)
            time.sleep(0)
            return len(block)
        with ThreadPoolExecutor(4) as pool:
            print(sum(pool.map(work, [2 ** 24] * 8)) // 2 ** 24)
    """

    assert await process.run(python(program), 20) == b"40\n"


def test_the_lists_name_the_same_calls_for_every_processor():
    only_on_x86 = {"readlink"}
    assert seccomp.ALLOWED_CALLS["x86_64"].keys() - only_on_x86 == seccomp.ALLOWED_CALLS["aarch64"].keys()
    assert seccomp.DENIED_CALLS["x86_64"].keys() == seccomp.DENIED_CALLS["aarch64"].keys()
    for machine in seccomp.AUDIT_ARCHITECTURES:
        conditional = [rule.numbers[machine] for rule in seccomp.ARGUMENT_RULES.values()]
        lists = [seccomp.ALLOWED_CALLS, seccomp.DENIED_CALLS, seccomp.NEW_PROCESS_CALLS]
        numbers = [number for calls in lists for number in calls[machine].values()]
        numbers += [*conditional, seccomp.IOCTL_CALL[machine]]
        assert len(numbers) == len(set(numbers))


async def test_with_a_gpu_the_drivers_files_are_readable_and_secrets_are_not(tmp_path: Path):
    program = f"""if True:
        import os
        from pathlib import Path
        from sandbox.confine import confine
        confine(Path({str(tmp_path)!r}), on_gpu=True)
        os.open("/dev/null", os.O_RDWR)
        Path("/proc/cpuinfo").read_text()
        try:
            Path(f"/proc/{{os.getppid()}}/environ").read_text()
        except PermissionError:
            print("denied")
    """

    assert await process.run(python(program), 20) == b"denied\n"


async def test_with_a_gpu_a_process_can_name_its_threads_as_the_driver_does_and_write_nothing_else(tmp_path: Path):
    program = f"""if True:
        import threading
        from pathlib import Path
        from sandbox.confine import confine
        confine(Path({str(tmp_path)!r}), on_gpu=True)
        def name_itself():
            name = Path(f"/proc/self/task/{{threading.get_native_id()}}/comm")
            name.write_text("cuda")
            print(name.read_text().strip())
        thread = threading.Thread(target=name_itself)
        thread.start()
        thread.join()
        for path in ("/proc/self/oom_score_adj", {str(tmp_path / "left")!r}):
            try:
                Path(path).write_text("1000")
            except PermissionError:
                print("denied")
    """

    assert await process.run(python(program), 20) == b"cuda\ndenied\ndenied\n"


def seccomp_modes(pid: int) -> list[list[str]]:
    """The seccomp mode of each thread of a process; 2 means that a filter is active."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [re.findall("Seccomp:\t(.)", (thread / "status").read_text()) for thread in threads]


async def test_every_thread_of_a_decoder_is_confined(tmp_path: Path):
    path, extractor = ClipStore(tmp_path).clip("h264.mp4").path, FrameExtractor(Settings(media_timeout_s=30))
    sampling, chunks = SampleGrid(0, Fraction(25), HEIGHT_PX, WIDTH_PX), [Chunk(0, 0, 1, 1), Chunk(1, 1, 3, 3)]
    stream = extractor.stream_frames(path, await extractor.get_video_info(path), sampling, chunks)

    await anext(stream)  # the second chunk does not fit into the pipe, so the decoder is blocked writing it
    (decoder,) = media_children()
    modes = seccomp_modes(decoder.pid)
    await stream.aclose()

    assert len(modes) > 1
    assert modes == [["2"]] * len(modes)


async def test_a_process_with_several_threads_is_refused_because_the_others_would_stay_unconfined(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    program = f"""if True:
        import threading
        from pathlib import Path
        from sandbox.confine import confine
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        confine(Path({str(tmp_path)!r}), on_gpu=False)
    """

    with pytest.raises(MediaError):
        await process.run(python(program), 20)
    assert "cannot be confined" in caplog.text


def mapping(protection: str, size_bytes: int) -> list[str]:
    """A program that maps private memory without writing to it."""
    return python(f"import mmap; mmap.mmap(-1, {size_bytes}, mmap.MAP_PRIVATE, {protection}); print('mapped')")


@pytest.mark.parametrize("on_gpu", [False, True])
async def test_a_child_cannot_exhaust_the_memory(caplog: pytest.LogCaptureFixture, *, on_gpu: bool):
    allocating = mapping(WRITABLE, wrappers.MAX_MEMORY_BYTES)

    async with SandboxedProcess(allocating, 20, on_gpu=on_gpu) as process:
        with pytest.raises(MediaError):
            process.read_all()

    assert "Cannot allocate memory" in caplog.text


@pytest.mark.parametrize("on_gpu", [False, True])
async def test_a_child_may_take_no_more_memory_than_it_is_given(caplog: pytest.LogCaptureFixture, *, on_gpu: bool):
    given_bytes = 2**30
    allocating = mapping(WRITABLE, given_bytes)

    async with SandboxedProcess(allocating, 20, on_gpu=on_gpu, max_memory_bytes=given_bytes) as process:
        with pytest.raises(MediaError):
            process.read_all()
    async with SandboxedProcess(allocating, 20, on_gpu=on_gpu, max_memory_bytes=2 * given_bytes) as process:
        assert process.read_all() == b"mapped\n"

    assert "Cannot allocate memory" in caplog.text


async def test_a_child_with_a_gpu_may_reserve_address_space_that_it_does_not_use():
    reserving = mapping(READ_ONLY, 2 * wrappers.MAX_MEMORY_BYTES)

    async with SandboxedProcess(reserving, 20, on_gpu=True) as process:
        assert process.read_all() == b"mapped\n"
