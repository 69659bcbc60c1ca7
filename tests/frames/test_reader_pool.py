"""Readers are started before their video is there: as many as jobs wait for one, and none is left behind."""

import json

import psutil
import pytest

from clips import ClipStore
from frames.reader_pool import DECODE, SCAN, VideoReaders
from sandbox.process import DecoderProcess


class Started(list[tuple[str, int]]):
    """The readers that were started, with their processes."""

    @property
    def running(self) -> list[str]:
        """What each reader that runs is for."""
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


def test_a_reader_that_was_started_early_reads_the_video(readers: VideoReaders, started: Started, clips: ClipStore):
    path = clips.clip("h264.mp4").path
    with readers.started_early():
        early = [pid for module, pid in started if module == SCAN]
        with readers.take(SCAN) as scanner:
            scanner.begin(path, "")
            assert [scanner.pid] == early
            assert json.loads(scanner.read_all())["info"]["codec"] == "h264"


def test_there_are_as_many_as_jobs_and_none_after_the_last(readers: VideoReaders, started: Started):
    with readers.started_early():
        assert started.running == [DECODE, SCAN]
        with readers.started_early():
            assert started.running == [DECODE, DECODE, SCAN, SCAN]
            readers.take(DECODE).kill()
            assert started.running == [DECODE, SCAN, SCAN]
        assert started.running == [DECODE, SCAN]
    assert started.running == []


def test_for_a_job_that_has_its_own_none_is_started_again(readers: VideoReaders, started: Started):
    with readers.started_early(), readers.take(SCAN), readers.take(DECODE):
        with readers.started_early():
            assert started.running == [DECODE, DECODE, SCAN, SCAN]
        assert started.running == [DECODE, DECODE, SCAN, SCAN]
    assert started.running == []


def test_a_job_that_fails_leaves_none(readers: VideoReaders, started: Started):
    with pytest.raises(ValueError, match="no video"), readers.started_early():
        raise ValueError("no video")
    assert len(started) == 2
    assert started.running == []


def test_one_that_is_taken_outside_or_again_or_of_another_kind_is_started_then(readers: VideoReaders, started: Started):
    with readers.take(SCAN), readers.started_early():
        readers.take(DECODE).kill()
        readers.take(DECODE).kill()
        with readers.take(DECODE, on_gpu=True):
            assert started.running == [DECODE, SCAN, SCAN]
    assert started.running == []


def test_one_that_is_told_nothing_ends_without_a_word():
    with DecoderProcess(SCAN, 20) as reader:
        assert reader._process.stdin
        reader._process.stdin.close()
        assert reader.read_all() == b""
