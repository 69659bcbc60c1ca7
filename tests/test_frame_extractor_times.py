"""Every frame is the picture on screen at the time it claims, whatever the file; the pictures carry their numbers."""

import asyncio
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from clips import (
    CONSTANT,
    HEIGHT_PX,
    WIDTH_PX,
    Clip,
    ClipStore,
    number_in,
)
from errors import NoFrames
from frame_extractor import FrameExtractor
from records import Chunk, FrameBatch, SampleGrid, VideoInfo

pytestmark = pytest.mark.usefixtures("mostly_in_process")


def sampling_of(info: VideoInfo, fps: int | Fraction = 30) -> SampleGrid:
    """More instants than pictures, some on a picture's first moment and some between."""
    return SampleGrid(info.start_s, Fraction(fps), HEIGHT_PX, WIDTH_PX)


def whole(info: VideoInfo) -> Chunk:
    return Chunk(0, info.start_s, info.end_s, info.end_s)


def overlapping_chunks(info: VideoInfo) -> list[Chunk]:
    """Three chunks; each sees 0.4 s of the next."""
    edges_s = [info.start_s, info.start_s + 1.1, info.start_s + 2.85, info.end_s]
    return [
        Chunk(index, edges_s[index], edges_s[index + 1], min(edges_s[index + 1] + 0.4, info.end_s))
        for index in range(3)
    ]


def assert_on_screen(batch: FrameBatch, clip: Clip, info: VideoInfo, sampling: SampleGrid) -> None:
    """The batch holds a frame for every instant of its chunk, and the right one."""
    indices = sampling.indices(batch.chunk)
    assert batch.times_s == pytest.approx([info.start_s + index / float(sampling.fps) for index in indices])
    shown = [number_in(picture) for picture in batch.pixels]
    assert shown == [clip.number_at(time_s - info.start_s) for time_s in batch.times_s]


CHUNKED = [
    "h264.mp4", "h264-one-keyframe.mp4", "h264-fragmented.mp4", "h264-from-zero-dts.mp4", "h264-open-gop.ts",
    "h264.flv", "h264-open-gop.avi", "hevc.mkv", "av1.webm", "vp8-hidden-pictures.webm", "vp9.webm", "mpeg2.mpg",
    "msmpeg4.avi", "wmv2.wmv", "theora.ogv", "mjpeg.avi", "variable.mkv", "variable-open-gop.mov", "variable.ts",
]  # fmt: skip


@pytest.mark.parametrize("name", CHUNKED)
async def test_frames_are_on_screen_at_their_times_in_one_pass_and_chunk_by_chunk(
    name: str, clips: ClipStore, extractor: FrameExtractor
):
    clip = clips.clip(name)
    info = await extractor.get_video_info(clip.path)
    sampling, chunks = sampling_of(info), overlapping_chunks(info)

    seeking = asyncio.create_task(extractor.extract_frames(clip.path, info, sampling, chunks[2]))
    streamed = [batch async for batch in extractor.stream_frames(clip.path, info, sampling, chunks)]
    alone = await seeking

    assert len(streamed) == len(chunks)
    for batch in streamed:
        assert_on_screen(batch, clip, info, sampling)
    assert np.array_equal(alone.times_s, streamed[2].times_s)
    assert np.array_equal(alone.pixels, streamed[2].pixels)


def cut_clip(clips: ClipStore, name: str) -> Clip:
    """A clip whose file holds whole groups of pictures, but whose edit list shows it from 0.9 s on."""
    return Clip(clips.copy(name, "h264.mp4", "-ss 0.9 -i {} -c copy"), CONSTANT[: 75 - 23], range(23, 75))


@pytest.mark.parametrize("name", ["cut.mp4", "cut.mov"])
async def test_pictures_hidden_by_an_edit_list_are_not_seen(name: str, clips: ClipStore, extractor: FrameExtractor):
    clip = cut_clip(clips, name)
    info = await extractor.get_video_info(clip.path)

    batch = await extractor.extract_frames(clip.path, info, sampling_of(info), whole(info))

    assert info.num_frames == 52
    assert info.duration_s == pytest.approx(2.08)
    assert_on_screen(batch, clip, info, sampling_of(info))


AUDIO_FIRST = "-f lavfi -i sine=d=6 -itsoffset 2 -i {} -map 0:a -map 1:v -c:v copy"
SHIFTED = {
    "audio-first.mp4": ("h264.mp4", AUDIO_FIRST, 2.0),
    "audio-first.mkv": ("h264.mp4", AUDIO_FIRST, 2.0),
    "audio-first.ts": ("h264.mp4", AUDIO_FIRST, 2.0),
    "starts-at-7-s.mp4": ("h264.mp4", "-i {} -c copy -output_ts_offset 7", 7.0),
    "starts-at-7-s.mkv": ("h264.mkv", "-i {} -c copy -output_ts_offset 7", 7.0),
    "clock-wraps-round.ts": ("h264.ts", "-i {} -c copy -output_ts_offset 95441", 0.0),
}


@pytest.mark.parametrize("name", SHIFTED)
async def test_a_shifted_clock_moves_the_start_and_nothing_else(name: str, clips: ClipStore, extractor: FrameExtractor):
    source, options, start_s = SHIFTED[name]
    clip = Clip(clips.copy(name, source, options), CONSTANT)
    info = await extractor.get_video_info(clip.path)
    sampling = sampling_of(info)

    batch = await extractor.extract_frames(clip.path, info, sampling, overlapping_chunks(info)[1])

    assert info.start_s == pytest.approx(start_s, abs=0.025)  # the sound's encoder delay
    assert info.duration_s == pytest.approx(3)
    assert (info.num_frames, info.truncated) == (75, False)
    assert_on_screen(batch, clip, info, sampling)


def first_part(path: Path) -> bytes:
    """About three fifths of a file, cut inside a picture that is shown after all pictures before it.

    A transport stream is cut before that picture: nothing in it says where a picture ends.
    """
    content = path.read_bytes()
    latest_pts, cut_at = -1, 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            assert packet.pos is not None
            assert packet.pts is not None
            if packet.pos > 0.58 * len(content) and packet.pts > latest_pts:
                cut_at = packet.pos if path.suffix == ".ts" else packet.pos + packet.size // 2
                break
            latest_pts = max(latest_pts, packet.pts)
    return content[:cut_at]


TRUNCATED = {
    "truncated.mp4": 3, "h264-fragmented.mp4": 1.8, "h264.mkv": 3, "h264.ts": None, "h264.flv": 3, "vp9.webm": 3,
    "mjpeg.avi": 0,
}  # fmt: skip
"""What the rest of a file says of its whole length in seconds: 0 is that it was longer, None nothing at all."""


@pytest.mark.parametrize("name", TRUNCATED)
async def test_a_truncated_file_gives_all_its_whole_pictures_and_nothing_after_them(
    name: str, clips: ClipStore, extractor: FrameExtractor
):
    if name == "truncated.mp4":
        complete = clips.copy("index-first.mp4", "h264.mp4", "-i {} -c copy -movflags faststart")
    else:
        complete = clips.clip(name).path
    clip = Clip(clips.write(f"truncated-{name}", first_part(complete)), CONSTANT)
    info = await extractor.get_video_info(clip.path)
    beyond = Chunk(0, info.start_s, info.start_s + 3, info.start_s + 3)

    batch = await extractor.extract_frames(clip.path, info, sampling_of(info), beyond)

    promised_s = TRUNCATED[name]
    assert info.truncated == (promised_s is not None)
    assert info.missing_s == pytest.approx(promised_s - info.duration_s if promised_s else 0, abs=0.1)
    assert 20 < info.num_frames < 60
    assert info.duration_s == pytest.approx(info.num_frames / 25, abs=0.002)
    assert len(batch.times_s) == len(sampling_of(info).indices(whole(info)))
    on_screen = [clip.number_at(time_s - info.start_s) for time_s in batch.times_s]
    assert [number_in(picture) for picture in batch.pixels] == on_screen


DAMAGED = ["h264.mp4", "h264.avi", "mpeg4.avi", "mpeg2.ts", "vp8.webm"]


@pytest.mark.parametrize("name", DAMAGED)
async def test_damaged_pictures_leave_the_times_of_the_others_as_they_are(
    name: str, clips: ClipStore, extractor: FrameExtractor
):
    noise = "-i {} -c copy -bsf:v noise=amount=between(n\\,33\\,41)"
    clip = Clip(clips.copy(f"damaged-{name}", name, noise), CONSTANT)
    info = await extractor.get_video_info(clip.path)

    batch = await extractor.extract_frames(clip.path, info, sampling_of(info), whole(info))

    intact = (batch.times_s < 30 / 25) | (batch.times_s >= 48 / 25)
    shown = [number_in(picture) for picture in batch.pixels[intact]]
    assert shown == [clip.number_at(time_s) for time_s in batch.times_s[intact]]
    assert len(batch.times_s) == len(sampling_of(info).indices(whole(info)))


@pytest.mark.parametrize("name", ["h264.mp4", "h264.ts", "h264.avi", "h264-open-gop.avi", "vp8.webm"])
async def test_keyframes_come_twice_at_their_own_times_and_at_most_one_for_each_instant(
    name: str, clips: ClipStore, extractor: FrameExtractor
):
    clip = clips.clip(name)
    info = await extractor.get_video_info(clip.path)

    async def keyframes(fps: Fraction) -> FrameBatch:
        sampling = sampling_of(info, fps)
        return await extractor.extract_frames(clip.path, info, sampling, whole(info), selection="keyframes")

    batches = await asyncio.gather(keyframes(Fraction(25, 2)), keyframes(Fraction(1)))

    for batch, numbers in zip(batches, ([0, 15, 30, 45, 60], [0, 30, 60]), strict=True):
        pairs = [number for number in numbers for _ in range(2)]
        assert [number_in(picture) for picture in batch.pixels] == pairs
        assert batch.times_s == pytest.approx([number / 25 for number in pairs])
        assert batch.watched.seen_until_s >= info.end_s


async def test_each_keyframe_belongs_to_the_chunks_that_see_its_time_and_a_chunk_without_one_sees_its_first_picture(
    clips: ClipStore, extractor: FrameExtractor
):
    path = clips.clip("h264.mp4").path
    info = await extractor.get_video_info(path)
    chunks = [Chunk(0, 0, 0.5, 0.7), Chunk(1, 0.5, 0.55, 0.6), Chunk(2, 0.55, 3, 3)]

    stream = extractor.stream_frames(path, info, sampling_of(info, 25), chunks, selection="keyframes")
    batches = [batch async for batch in stream]

    assert [[number_in(picture) for picture in batch.pixels[::2]] for batch in batches] == [
        [0, 13, 15],
        [13],
        [15, 30, 45, 60],
    ]
    assert [batch.watched.unseen for batch in batches] == [(), (), ()]
    assert batches[1].times_s == pytest.approx([0.52, 0.52])


@pytest.mark.parametrize("name", ["h264-one-keyframe.mp4", "hidden-keyframe.mp4"])
async def test_chunks_without_keyframes_see_the_pictures_at_their_starts(
    name: str, clips: ClipStore, extractor: FrameExtractor
):
    """In an intra-refresh film only the first picture is a keyframe; a cut without encoding may hide it."""
    if name == "hidden-keyframe.mp4":
        clip = Clip(clips.copy(name, "h264-one-keyframe.mp4", "-ss 0.9 -i {} -t 1.6 -c copy"), CONSTANT, range(23, 75))
    else:
        clip = clips.clip(name)
    info = await extractor.get_video_info(clip.path)
    chunks = [Chunk(index, index / 2, (index + 1) / 2, min((index + 2) / 2, 1.5)) for index in range(3)]

    stream = extractor.stream_frames(clip.path, info, sampling_of(info, 25), chunks, selection="keyframes")
    batches = [batch async for batch in stream]

    starts = [13, 25] if name.startswith("hidden") else [0, 13, 25]
    numbers = [[number_in(picture) for picture in batch.pixels[::2]] for batch in batches]
    assert [of_chunk[0] for of_chunk in numbers[-len(starts) :]] == [clip.number_at(start / 25) for start in starts]
    assert all(numbers)
    assert [batch.watched.unseen for batch in batches] == [(), (), ()]


async def test_a_span_without_a_picture_is_an_error_alone_and_an_empty_batch_in_a_stream(
    clips: ClipStore, extractor: FrameExtractor
):
    clip = clips.clip("h264.mp4")
    info = await extractor.get_video_info(clip.path)
    sampling, beyond = sampling_of(info), Chunk(1, 5, 6, 6)

    with pytest.raises(NoFrames):
        await extractor.extract_frames(clip.path, info, sampling, beyond)
    stream = extractor.stream_frames(clip.path, info, sampling, [Chunk(0, 0, 5, 5), beyond])
    first, second = [batch async for batch in stream]

    assert (len(first.pixels), second.pixels.shape) == (90, (0, HEIGHT_PX, WIDTH_PX, 3))
