"""Concatenated files: all their pictures come, on one continuous clock."""

from fractions import Fraction
from pathlib import Path

import pytest

from clips import H264, HEIGHT_PX, HEVC, WIDTH_PX, ClipStore, ffmpeg, number_in, numbered_pictures
from config import Settings
from errors import UnsupportedCodec
from frame_extractor import FrameExtractor
from records import Chunk, LocalVideo, SampleGrid, VideoInfo
from video_processor import VideoProcessor

FLV_HEADER_BYTES = 13
CLOSED_GOPS = f"{H264} -sc_threshold 0"


def sampling_of(info: VideoInfo, fps: int = 25) -> SampleGrid:
    return SampleGrid(info.start_s, Fraction(fps), HEIGHT_PX, WIDTH_PX)


def whole(info: VideoInfo) -> Chunk:
    return Chunk(0, info.start_s, info.end_s, info.end_s)


async def numbers_shown(extractor: FrameExtractor, path: Path, info: VideoInfo, chunk: Chunk) -> list[int]:
    batch = await extractor.extract_frames(path, info, sampling_of(info), chunk)
    assert not batch.is_damaged.any()
    return [number_in(picture) for picture in batch.pixels]


def appended(clips: ClipStore, name: str, second: Path) -> Path:
    """A clip followed by another file."""
    head_bytes = FLV_HEADER_BYTES if name.endswith(".flv") else 0
    content = clips.clip(name).path.read_bytes() + second.read_bytes()[head_bytes:]
    return clips.write(f"joined-{second.stem}-{name}", content)


@pytest.mark.parametrize("name", ["h264.ts", "hevc.ts", "mpeg2.ts", "mpeg2.mpg", "h264.flv"])
async def test_concatenated_files_have_one_continuous_clock(name: str, clips: ClipStore, extractor: FrameExtractor):
    path = appended(clips, name, clips.clip(name).path)
    info = await extractor.get_video_info(path)

    assert info.duration_s == pytest.approx(6, abs=0.002)
    assert (info.num_frames, info.seekable) == (150, False)
    assert await numbers_shown(extractor, path, info, whole(info)) == 2 * list(range(75))
    late = Chunk(0, info.start_s + 4, info.start_s + 5, info.start_s + 5)
    assert await numbers_shown(extractor, path, info, late) == list(range(25, 50))


@pytest.mark.parametrize(("name", "options"), [("h264.flv", CLOSED_GOPS), ("h264.ts", CLOSED_GOPS), ("hevc.ts", HEVC)])
async def test_pictures_that_change_size_midway_are_all_delivered_in_the_ordered_size(
    name: str, options: str, clips: ClipStore, extractor: FrameExtractor
):
    smaller = clips.encode(f"smaller-{name}", f"{options} -output_ts_offset 10", numbered_pictures()[:, ::2, ::2])
    path = appended(clips, name, smaller)
    info = await extractor.get_video_info(path)

    numbers = await numbers_shown(extractor, path, info, whole(info))
    late = await numbers_shown(extractor, path, info, Chunk(0, info.end_s - 1, info.end_s, info.end_s))

    assert numbers[:75] == numbers[-75:] == list(range(75))
    assert late == list(range(50, 75))


async def test_a_file_that_is_not_seekable_cannot_be_split(clips: ClipStore, extractor: FrameExtractor, tmp_path: Path):
    path = appended(clips, "h264.ts", clips.clip("h264.ts").path)
    info = await extractor.get_video_info(path)
    processor = VideoProcessor(Settings(media_timeout_s=30), extractor)

    with pytest.raises(UnsupportedCodec):
        await processor.split_video_into_chunks(LocalVideo(path, 1), info, (whole(info),), tmp_path)


async def test_pictures_that_grow_too_large_midway_are_left_out(clips: ClipStore, extractor: FrameExtractor):
    huge = clips.clip("h264.ts").path.with_name("huge.ts")
    source = "-f lavfi -i color=size=8192x4608:rate=25:duration=0.04"
    ffmpeg(*f"{source} -c:v libx264 -preset ultrafast -pix_fmt yuv420p -output_ts_offset 10".split(), huge)
    joined = clips.write("grows.ts", clips.clip("h264.ts").path.read_bytes() + huge.read_bytes())
    info = await extractor.get_video_info(joined)

    batch = await extractor.extract_frames(joined, info, sampling_of(info, 25), whole(info))

    assert {number_in(picture) for picture in batch.pixels} == set(range(75))
