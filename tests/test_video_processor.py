"""Chunks partition a video exactly and keep every budget; as files they play and say where they start."""

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clips import CONSTANT, HEIGHT_PX, WIDTH_PX, Clip, ClipStore, number_in, with_display_matrix
from config import Settings
from errors import MediaError, UnsupportedCodec, VideoTooLong
from frame_extractor import FrameExtractor
from records import Chunk, LocalVideo, SampleGrid, VideoInfo, VideoPlan
from video_processor import MAX_CHUNKS, ChunkFile, VideoProcessor
from vision import video_tokens

deterministic = hypothesis_settings(derandomize=True, deadline=None, max_examples=150)
durations_s = st.floats(0.001, 86_400) | st.integers(1, 86_400).map(float) | st.decimals(0, 9, places=3).map(float)


def processor_with(**changes: Any) -> VideoProcessor:
    settings = Settings(media_timeout_s=30, **changes)
    return VideoProcessor(settings, FrameExtractor(settings))


def video(duration_s: float, start_s: float = 0.0) -> VideoInfo:
    return VideoInfo(
        start_s=start_s,
        duration_s=duration_s,
        fps=Fraction(25),
        num_frames=max(1, round(duration_s * 25)),
        width_px=1920,
        height_px=1080,
        rotation_deg=0,
        codec="h264",
        pixel_format="yuv420p",
        container="mov,mp4,m4a,3gp,3g2,mj2",
        bit_rate_bps=1_000_000,
        variable_frame_rate=False,
        truncated=False,
        missing_s=0.0,
        size_bytes=1_000_000,
        stream_index=0,
        first_pts=0,
        time_base_s=Fraction(1, 12_800),
        seekable=True,
    )


def assert_partitioned(plan: VideoPlan, info: VideoInfo) -> None:
    chunks = plan.chunks
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert (chunks[0].start_s, chunks[-1].end_s, chunks[-1].seen_end_s) == (info.start_s, info.end_s, info.end_s)
    assert all(before.end_s == after.start_s for before, after in itertools.pairwise(chunks))


@pytest.mark.parametrize(
    ("duration_s", "count"),
    [
        (0.1, 1),
        (60, 1),
        (61.9, 1),
        (62, 2),
        (180.5, 3),
        (182.5, 4),
        (300, 5),
        (3600, 60),
        (3600.03, 60),
        (86_400, 1440),
    ],
)
def test_a_video_is_cut_into_the_documented_number_of_chunks(duration_s: float, count: int):
    plan = processor_with().calculate_optimal_chunks(video(duration_s))

    assert len(plan.chunks) == count
    assert plan.adjustments == ()
    assert_partitioned(plan, video(duration_s))


@deterministic
@given(
    duration_s=durations_s.filter(lambda seconds: seconds >= 0.001),
    start_s=st.sampled_from([0.0, 1.483333, 0.1, 3599.96]),
    chunk_s=st.floats(1, 7200) | st.integers(1, 3600).map(float),
    overlap_s=st.sampled_from([0.0, 0.5, 2.0, 10.0]),
    sample_fps=st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.0, 29.97, 60.0]),
    max_frames=st.sampled_from([2, 7, 100, 768]),
    max_tokens=st.sampled_from([64, 2048, 12_288]),
)
def test_every_plan_covers_the_video_within_its_budgets(
    duration_s: float,
    start_s: float,
    chunk_s: float,
    overlap_s: float,
    sample_fps: float,
    max_frames: int,
    max_tokens: int,
):
    info = video(duration_s, start_s)
    processor = processor_with(
        chunk_overlap=overlap_s, max_frames_per_chunk=max_frames, max_video_tokens_per_chunk=max_tokens
    )

    plan = processor.calculate_optimal_chunks(info, max(chunk_s, duration_s / 500), sample_fps)

    assert_partitioned(plan, info)
    for chunk in plan.chunks:
        frames = len(plan.grid.indices(chunk))
        assert 1 <= frames <= max_frames
        assert video_tokens(frames, plan.grid.height_px, plan.grid.width_px) <= max_tokens
    if not any("a chunk sees" in concession for concession in plan.adjustments):
        for chunk in plan.chunks[:-1]:
            assert chunk.seen_end_s == pytest.approx(min(chunk.end_s + overlap_s, info.end_s), abs=1e-6)


def test_neighbours_see_the_same_instants_where_they_overlap():
    plan = processor_with().calculate_optimal_chunks(video(180.5, 1.4))

    first, second = (set(plan.grid.indices(chunk)) for chunk in plan.chunks[:2])

    assert [plan.grid.instant_s(index) for index in sorted(first & second)] == pytest.approx([61.4, 61.9, 62.4, 62.9])


def test_the_job_may_choose_length_and_rate():
    plan = processor_with().calculate_optimal_chunks(video(100), chunk_duration_s=25, sample_fps=1)

    assert (len(plan.chunks), plan.grid.fps) == (4, Fraction(1))


@pytest.mark.parametrize("duration_s", [86_400, 5000.000001, 7777.77])
def test_chunks_too_many_for_one_result_are_made_longer(duration_s: float):
    plan = processor_with(chunk_overlap=0).calculate_optimal_chunks(video(duration_s), chunk_duration_s=1)

    assert len(plan.chunks) <= MAX_CHUNKS
    assert plan.adjustments[0].startswith("chunk_duration raised from 1 to ")
    assert_partitioned(plan, video(duration_s))


def test_chunks_too_long_for_the_budget_are_cut_shorter_and_still_overlap():
    plan = processor_with().calculate_optimal_chunks(video(7200), chunk_duration_s=3600)

    assert [concession.split()[:3] for concession in plan.adjustments][1] == ["a", "chunk", "sees"]
    assert (plan.chunks[0].end_s, plan.chunks[0].seen_end_s) == (1534, 1536)
    assert_partitioned(plan, video(7200))


async def test_a_video_that_is_too_long_is_refused(clips: ClipStore):
    source = clips.clip("h264.mp4").path
    local = LocalVideo(source, source.stat().st_size)

    assert (await processor_with(max_video_duration_s=3).validate_video(local)).duration_s == 3
    with pytest.raises(VideoTooLong, match="lasts 3 s; the limit is 2 s"):
        await processor_with(max_video_duration_s=2).validate_video(local)


async def split(clip: Clip, directory: Path) -> tuple[VideoInfo, list[ChunkFile]]:
    """Three chunks, each of which sees 0.4 s of the next."""
    processor = processor_with()
    info = await processor.validate_video(LocalVideo(clip.path, 1))
    edges_s = [info.start_s, info.start_s + 1.1, info.start_s + 2.05, info.end_s]
    chunks = tuple(
        Chunk(index, start_s, end_s, min(end_s + 0.4, info.end_s))
        for index, (start_s, end_s) in enumerate(itertools.pairwise(edges_s))
    )
    return info, await processor.split_video_into_chunks(LocalVideo(clip.path, 1), info, chunks, directory)


async def numbers_in(path: Path) -> list[int]:
    extractor = FrameExtractor(Settings(media_timeout_s=30))
    info = await extractor.get_video_info(path)
    sampling = SampleGrid(info.start_s, Fraction(50), HEIGHT_PX, WIDTH_PX)
    whole = Chunk(0, info.start_s, info.end_s, info.end_s)
    batch = await extractor.extract_frames(path, info, sampling, whole)
    return sorted({number_in(picture) for picture in batch.pixels})


SPLITTABLE = [
    "h264-open-gop.mp4",
    "h264-one-keyframe.mp4",
    "h264.ts",
    "h264.flv",
    "vp9.webm",
    "av1.mp4",
    "prores.mov",
    "variable.mkv",
    "wmv2.wmv",
]


@pytest.mark.usefixtures("mostly_in_process")
@pytest.mark.parametrize("name", [*SPLITTABLE, "cut.mp4", "late.mp4"])
async def test_every_chunk_file_plays_starts_where_it_says_and_holds_what_the_chunk_sees(
    name: str, clips: ClipStore, tmp_path: Path
):
    if name == "cut.mp4":
        cut = clips.copy(name, "h264.mp4", "-ss 0.9 -i {} -c copy")
        clip = Clip(cut, CONSTANT[: 75 - 23], range(23, 75))
    elif name == "late.mp4":
        late = "-f lavfi -i sine=d=6 -itsoffset 2 -i {} -map 0:a -map 1:v -c:v copy"
        clip = Clip(clips.copy(name, "h264.mp4", late), CONSTANT)
    else:
        clip = clips.clip(name)

    info, files = await split(clip, tmp_path)

    assert len(files) == 3
    for file in files:
        numbers = await numbers_in(file.path)
        assert file.first_frame_s <= file.chunk.start_s
        assert numbers[0] == clip.number_at(file.first_frame_s - info.start_s + 0.0005)
        seen_s = file.chunk.seen_end_s - info.start_s - 0.001
        assert set(range(numbers[0], clip.number_at(seen_s) + 1)) <= set(numbers)


async def test_turned_pictures_stay_turned_in_the_chunk_files(clips: ClipStore, tmp_path: Path):
    upright = clips.clip("h264.mp4").path.read_bytes()
    clip = Clip(clips.write("turned.mp4", with_display_matrix(upright, 0, 1, -1, 0)), CONSTANT)

    _, files = await split(clip, tmp_path)

    copies = [await processor_with().validate_video(LocalVideo(file.path, 1)) for file in files]
    assert [copy.rotation_deg for copy in copies] == [90, 90, 90]


async def test_a_source_without_picture_times_is_not_split(clips: ClipStore, tmp_path: Path):
    with pytest.raises(UnsupportedCodec, match="cannot be cut"):
        await split(clips.clip("h264.avi"), tmp_path)


async def test_a_split_that_fails_is_one_coded_error(clips: ClipStore, tmp_path: Path):
    source = clips.clip("h264.mp4").path
    processor = processor_with()
    info = await processor.validate_video(LocalVideo(source, 1))
    chunks = (Chunk(0, 0, 1, 1), Chunk(1, 1, 3, 3))
    missing = LocalVideo(tmp_path / "missing.mp4", 1)

    with pytest.raises(MediaError):
        await processor.split_video_into_chunks(missing, replace(info, size_bytes=1), chunks, tmp_path)
