"""Readers are started before their video is there: as many as jobs wait for one, and none is left behind."""

import json

import pytest

from clips import ClipStore
from jobs import media_children
from media_process import Reader, output_of
from video_readers import DECODE, SCAN, VideoReaders


@pytest.fixture
def readers() -> VideoReaders:
    return VideoReaders(20, decode_on_gpu=False)


def tasks() -> list[str]:
    """What each running reader is for."""
    return sorted(word for child in media_children() for word in child.cmdline() if word in (SCAN, DECODE))


async def test_a_reader_that_was_started_early_reads_the_video(readers: VideoReaders, clips: ClipStore):
    path = clips.clip("h264.mp4").path
    with readers.started_early():
        (early,) = [child.pid for child in media_children() if SCAN in child.cmdline()]
        scanner = readers.take(SCAN)
        scanner.begin(path, str(path))
        assert scanner.pid == early
        assert json.loads(await output_of(scanner))["codec"] == "h264"


def test_there_are_as_many_as_jobs_and_none_after_the_last(readers: VideoReaders):
    with readers.started_early():
        assert tasks() == [DECODE, SCAN]
        with readers.started_early():
            assert tasks() == [DECODE, DECODE, SCAN, SCAN]
            readers.take(DECODE).kill()
            assert tasks() == [DECODE, SCAN, SCAN]
        assert tasks() == [DECODE, SCAN]
    assert tasks() == []


def test_for_a_job_that_has_its_own_none_is_started_again(readers: VideoReaders):
    with readers.started_early(), readers.take(SCAN), readers.take(DECODE):
        with readers.started_early():
            assert tasks() == [DECODE, DECODE, SCAN, SCAN]
        assert tasks() == [DECODE, DECODE, SCAN, SCAN]
    assert tasks() == []


def test_a_job_that_fails_leaves_none(readers: VideoReaders):
    with pytest.raises(ValueError, match="no video"), readers.started_early():
        raise ValueError("no video")
    assert tasks() == []


def test_one_that_is_taken_outside_or_again_or_of_another_kind_is_started_then(readers: VideoReaders):
    with readers.take(SCAN), readers.started_early():
        readers.take(DECODE).kill()
        readers.take(DECODE).kill()
        with readers.take(DECODE, on_gpu=True):
            assert tasks() == [DECODE, SCAN, SCAN]
    assert tasks() == []


async def test_one_that_is_told_nothing_ends_without_a_word():
    reader = Reader(SCAN, 20)
    assert reader._process.stdin
    reader._process.stdin.close()
    assert await output_of(reader) == b""
