"""A window of a film on a web server is read from few of its bytes, and gives what the whole file gives."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from byte_ranges import ByteRange, total_bytes
from clips import H264, ClipStore, numbered_pictures
from config import Settings
from errors import MediaError
from frame_extractor import FrameExtractor
from frames.missing import BytesMissing
from frames.reader_pool import VideoReaders
from in_process import ReaderInProcess, read_in_process
from media_server import MediaServer
from parts_of_files import copy_parts, index_of, make_opening_small
from records import Chunk, FrameBatch, LocalVideo, SampleGrid, VideoInfo
from sources.sparse import fetch_index
from video_processor import VideoProcessor

NOISE = "-vf noise=alls=60:allf=t:all_seed=1"
CHUNKS = [Chunk(0, 4.0, 5.0, 5.2), Chunk(1, 5.0, 6.0, 6.0)]


async def batches_of(
    extractor: FrameExtractor, path: Path, info: VideoInfo, chunks: Sequence[Chunk] = CHUNKS, **options: object
) -> list[FrameBatch]:
    grid = SampleGrid(info.start_s, Fraction(4), 64, 128)
    return [batch async for batch in extractor.stream_frames(path, info, grid, chunks, **options)]  # type: ignore[arg-type]


def assert_same(batches: list[FrameBatch], others: list[FrameBatch]) -> None:
    for one, other in zip(batches, others, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.times_s, other.times_s)
        assert one.watched.unseen == other.watched.unseen
        assert len(one.pixels)


async def test_a_window_of_a_film_on_a_server_is_read_from_few_bytes(
    extractor: FrameExtractor, clips: ClipStore, server: MediaServer, tmp_path: Path
):
    pictures = np.concatenate([numbered_pictures(250)] * 2).repeat(2, axis=1).repeat(2, axis=2)
    path = clips.encode("large.mov", f"{NOISE} -c:v mjpeg -q 1 -qmin 1 -pix_fmt yuvj444p", pictures)
    settings = Settings(download_allow_private="127.0.0.1")
    sparse = await fetch_index(server.serve(path), tmp_path, settings)
    assert sparse is not None
    info = await VideoProcessor(settings, extractor).validate_video(sparse.video)
    whole = await extractor.get_video_info(path)
    assert replace(info, present=()) == whole
    grid = SampleGrid(info.start_s, Fraction(4), 64, 128)
    video = await sparse.fetch(await extractor.byte_ranges(sparse.video.path, info, grid, CHUNKS))
    assert video.present
    assert server.sent_bytes == total_bytes(video.present) < path.stat().st_size / 2
    info = replace(info, present=video.present)
    assert_same(await batches_of(extractor, video.path, info), await batches_of(extractor, path, whole))


@pytest.fixture
def film(clips: ClipStore, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_opening_small(monkeypatch)
    read_in_process(monkeypatch)
    return clips.encode("noisy.mp4", f"{NOISE} {H264}", numbered_pictures(250))


async def described(extractor: FrameExtractor, film: Path, directory: Path) -> tuple[LocalVideo, VideoInfo]:
    """A file of which the index was fetched."""
    path, index = copy_parts(film, index_of(film), directory / "source"), tuple(index_of(film))
    return LocalVideo(path, path.stat().st_size, index), await extractor.get_video_info(path, index)


async def test_if_the_parts_are_not_enough_the_rest_is_fetched_and_no_chunk_is_lost(extractor, film, tmp_path):
    video, info = await described(extractor, film, tmp_path)
    fetched: list[Path] = []

    async def fetch_rest() -> None:
        fetched.append(copy_parts(film, [ByteRange(0, video.size_bytes)], video.path))

    chunks = [Chunk(0, 0.0, 0.2, 0.2), *CHUNKS]  # the first one is there already
    batches = await batches_of(extractor, video.path, info, chunks, fetch_rest=fetch_rest)
    assert_same(batches, await batches_of(extractor, film, replace(info, present=()), chunks))
    assert fetched == [video.path]


async def test_if_the_parts_are_not_enough_no_chunk_is_given_in_their_place(extractor, film, tmp_path):
    video, info = await described(extractor, film, tmp_path)
    with pytest.raises(BytesMissing):
        await batches_of(extractor, video.path, info)


async def test_a_file_whose_parts_do_not_tell_what_it_holds_is_not_found_wrong(extractor, film, tmp_path):
    first = (ByteRange(0, 64),)
    path = copy_parts(film, first, tmp_path / "source")
    with pytest.raises(BytesMissing):
        await extractor.get_video_info(path, first)
    with pytest.raises(BytesMissing):
        await VideoProcessor(Settings(), extractor).validate_video(LocalVideo(path, path.stat().st_size, first))


async def test_parts_of_a_file_are_not_cut_into_chunks(extractor, film, tmp_path):
    video, info = await described(extractor, film, tmp_path)
    with pytest.raises(BytesMissing):
        await VideoProcessor(Settings(), extractor).split_video_into_chunks(video, info, tuple(CHUNKS), tmp_path)


async def test_a_process_that_does_not_name_ranges_is_not_believed(extractor, film, monkeypatch, tmp_path):
    video, info = await described(extractor, film, tmp_path)
    monkeypatch.setattr(VideoReaders, "take", lambda *_, **__: ReaderInProcess("decoder.probe"))
    monkeypatch.setattr(ReaderInProcess, "begin", lambda *_: None)
    with pytest.raises(MediaError, match="did not say where"):
        await extractor.byte_ranges(video.path, info, SampleGrid(0.0, Fraction(4), 64, 128), CHUNKS)
