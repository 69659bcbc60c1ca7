"""Processes are started while the video is downloaded, at most one of each kind for each job, and none is left over."""

import json

import psutil
import pytest

from clips import ClipStore
from frames.reader_pool import DECODE, PROBE, VideoReaders
from sandbox.process import DecoderProcess


class Started(list[tuple[str, int]]):
    """The module and the process id of every process that was started."""

    @property
    def running(self) -> list[str]:
        """The modules of those that are still running."""
        return sorted(module for module, pid in self if psutil.pid_exists(pid))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    noted = Started()

    class Noted(DecoderProcess):
        def __init__(self, module: str, timeout_s: float, *, on_gpu: bool = False) -> None:
            super().__init__(module, timeout_s, on_gpu=on_gpu)
            noted.append((module, self.pid))

    monkeypatch.setattr("frames.reader_pool.DecoderProcess", Noted)
    return noted


@pytest.fixture
def readers() -> VideoReaders:
    return VideoReaders(20, decode_on_gpu=False)


def test_a_process_that_was_started_early_reads_the_video(readers: VideoReaders, started: Started, clips: ClipStore):
    path = clips.clip("h264.mp4").path
    with readers.warm_up():
        early = [pid for module, pid in started if module == PROBE]
        with readers.take(PROBE) as scanner:
            scanner.begin(path, "")
            assert [scanner.pid] == early
            assert json.loads(scanner.read_all())["info"]["codec"] == "h264"


def test_every_job_starts_one_of_each_kind_and_none_is_left_after_the_last_job(readers: VideoReaders, started: Started):
    with readers.warm_up():
        assert started.running == [DECODE, PROBE]
        with readers.warm_up():
            assert started.running == [DECODE, DECODE, PROBE, PROBE]
            readers.take(DECODE).kill()
            assert started.running == [DECODE, PROBE, PROBE]
        assert started.running == [DECODE, PROBE]
    assert started.running == []


def test_an_unused_process_stays_while_another_job_is_running(readers: VideoReaders, started: Started):
    with readers.warm_up(), readers.take(PROBE), readers.take(DECODE):
        with readers.warm_up():
            assert started.running == [DECODE, DECODE, PROBE, PROBE]
        assert started.running == [DECODE, DECODE, PROBE, PROBE]
    assert started.running == []


def test_a_job_that_fails_leaves_no_process(readers: VideoReaders, started: Started):
    with pytest.raises(ValueError, match="no video"), readers.warm_up():
        raise ValueError("no video")
    assert len(started) == 2
    assert started.running == []


def test_a_process_is_started_on_demand_where_none_of_its_kind_is_idle(readers: VideoReaders, started: Started):
    with readers.take(PROBE), readers.warm_up():
        readers.take(DECODE).kill()
        readers.take(DECODE).kill()
        with readers.take(DECODE, on_gpu=True):
            assert started.running == [DECODE, PROBE, PROBE]
    assert started.running == []


def test_a_process_that_is_given_no_video_ends_without_output():
    with DecoderProcess(PROBE, 20) as reader:
        assert reader._process.stdin
        reader._process.stdin.close()
        assert reader.read_all() == b""
