"""Processes are started while the video is downloaded, at most one of each kind for each job, and none is left over."""

import json
import threading
from contextlib import AbstractAsyncContextManager
from functools import partial
from operator import mul
from pathlib import Path
from typing import Any

import psutil
import pytest

from clips import ClipStore
from config import Settings
from errors import SandboxIncomplete
from frames.reader_pool import DECODE, PROBE, VideoReaders
from own_thread import in_own_thread
from sandbox.process import DecoderProcess

START_TIMEOUT_S = 60.0
"""On a busy machine."""


class Started(list[tuple[str, int]]):
    """The module and the process id of every process that was started."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def note(self, module: str, pid: int) -> None:
        with self._changed:
            self.append((module, pid))
            self._changed.notify_all()

    async def reach(self, number: int) -> None:
        """Wait until so many processes were started, from the first one on."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(lambda: len(self) >= number, START_TIMEOUT_S)

        assert await in_own_thread(wait)
        assert len(self) == number

    @property
    def running(self) -> list[str]:
        """The modules of those that are still running."""
        return sorted(module for module, pid in self if psutil.pid_exists(pid))


async def end(process: AbstractAsyncContextManager[DecoderProcess]) -> None:
    async with process:
        pass


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    noted = Started()

    class Noted(DecoderProcess):
        def __init__(self, module: str, timeout_s: float, **options: Any) -> None:
            super().__init__(module, timeout_s, **options)
            noted.note(module, self.pid)

    monkeypatch.setattr("frames.reader_pool.DecoderProcess", Noted)
    return noted


@pytest.fixture
def readers() -> VideoReaders:
    return VideoReaders(Settings(media_timeout_s=20), decode_on_gpu=False)


async def test_a_process_that_was_started_early_reads_the_video(
    readers: VideoReaders, started: Started, clips: ClipStore
):
    path = clips.clip("h264.mp4").path
    async with readers.warm_up():
        await started.reach(2)
        early = [pid for module, pid in started if module == PROBE]
        async with readers.take(PROBE) as scanner:
            scanner.begin(path, "")
            assert [scanner.pid] == early
            assert json.loads(scanner.read_all())["info"]["codec"] == "h264"


async def test_every_job_starts_one_of_each_kind_and_none_is_left_after_the_last_job(
    readers: VideoReaders, started: Started
):
    async with readers.warm_up():
        await started.reach(2)
        assert started.running == [DECODE, PROBE]
        async with readers.warm_up():
            await started.reach(4)
            assert started.running == [DECODE, DECODE, PROBE, PROBE]
            await end(readers.take(DECODE))
            assert started.running == [DECODE, PROBE, PROBE]
        assert started.running == [DECODE, PROBE]
    assert started.running == []


async def test_an_unused_process_stays_while_another_job_is_running(readers: VideoReaders, started: Started):
    async with readers.warm_up(), readers.take(PROBE), readers.take(DECODE):
        async with readers.warm_up():
            await started.reach(4)
            assert started.running == [DECODE, DECODE, PROBE, PROBE]
        assert started.running == [DECODE, DECODE, PROBE, PROBE]
    assert started.running == []


async def test_a_job_that_fails_leaves_no_process(readers: VideoReaders, started: Started):
    async def fail() -> None:
        async with readers.warm_up():
            await started.reach(2)
            raise ValueError("no video")

    with pytest.raises(ValueError, match="no video"):
        await fail()
    assert started.running == []


async def test_a_job_that_ends_at_once_leaves_no_process(readers: VideoReaders, started: Started):
    async with readers.warm_up():
        pass
    assert started.running == []
    await end(readers.take(PROBE))  # behind whatever was still to be started
    assert started.running == []


async def test_a_process_is_started_on_demand_where_none_of_its_kind_is_idle(readers: VideoReaders, started: Started):
    async with readers.take(PROBE), readers.warm_up():
        await end(readers.take(DECODE))
        await end(readers.take(DECODE))
        async with readers.take(DECODE, on_gpu=True):
            assert started.running == [DECODE, PROBE, PROBE]
    assert started.running == []


async def test_a_process_that_is_given_no_video_ends_without_output():
    async with DecoderProcess(PROBE, 20) as reader:
        assert reader._process.stdin
        reader._process.stdin.close()
        assert reader.read_all() == b""


async def test_a_process_may_take_a_share_of_the_free_memory_but_not_less_than_the_largest_pictures_need(
    monkeypatch: pytest.MonkeyPatch,
):
    limits_gib = []

    class Noted(DecoderProcess):
        def __init__(self, module: str, timeout_s: float, *, max_memory_bytes: int, **options: Any) -> None:
            super().__init__(module, timeout_s, max_memory_bytes=max_memory_bytes, **options)
            limits_gib.append(max_memory_bytes / 2**30)

    monkeypatch.setattr("frames.reader_pool.DecoderProcess", Noted)
    for free_gib in (64, 32, 20, 8, 1):
        readers = VideoReaders(
            Settings(max_concurrent_jobs=4), decode_on_gpu=False, free_bytes=partial(mul, free_gib, 2**30)
        )
        await end(readers.take(PROBE))

    assert limits_gib == [8, 8, 5, 2, 2]


@pytest.mark.parametrize(
    ("size_bytes", "timeout_s"), [(0, 120), (6_000_000_000, 120), (20 * 2**30, 429.5)], ids=["empty", "6 GB", "20 GiB"]
)
async def test_probing_a_large_file_may_take_the_time_that_reading_it_needs(
    size_bytes: int, timeout_s: float, tmp_path: Path
):
    path = tmp_path / "source"
    with path.open("wb") as file:
        file.truncate(size_bytes)  # no bytes on the disk

    assert VideoReaders(Settings(), decode_on_gpu=False).probe_timeout_s(path) == pytest.approx(timeout_s, rel=1e-3)


async def test_no_process_is_started_where_a_required_layer_of_the_sandbox_is_missing(
    started: Started, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("frames.reader_pool.missing_layers", lambda: ["no other files"])
    strict = VideoReaders(Settings(require_sandbox=True), decode_on_gpu=False)

    with pytest.raises(SandboxIncomplete, match="no other files"):
        async with strict.warm_up():
            pass
    with pytest.raises(SandboxIncomplete):
        strict.take(DECODE)
    assert started == []

    await end(VideoReaders(Settings(), decode_on_gpu=False).take(DECODE))
    assert len(started) == 1


async def test_every_layer_that_is_there_satisfies_the_requirement(started: Started):
    await end(VideoReaders(Settings(require_sandbox=True), decode_on_gpu=False).take(DECODE))
    assert len(started) == 1
