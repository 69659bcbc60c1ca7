"""Chunks partition a video exactly and keep every budget; a video is judged, and cut into files where it can be."""

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from clips import ClipStore
from config import Settings
from errors import MediaError, VideoTooLong
from frame_extractor import FrameExtractor
from planning import MAX_CHUNKS
from records import Chunk, FrameSelection, LocalVideo, Scope, VideoInfo, VideoPlan
from video_processor import VideoProcessor
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
def test_a_video_has_the_promised_number_of_chunks(duration_s: float, count: int):
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
    if not any("a chunk sees" in adjustment for adjustment in plan.adjustments):
        for chunk in plan.chunks[:-1]:
            assert chunk.seen_end_s == pytest.approx(min(chunk.end_s + overlap_s, info.end_s), abs=1e-6)


def test_neighbours_see_the_same_instants_where_they_overlap():
    plan = processor_with().calculate_optimal_chunks(video(180.5, 1.4))

    first, second = (set(plan.grid.indices(chunk)) for chunk in plan.chunks[:2])

    assert [plan.grid.instant_s(index) for index in sorted(first & second)] == pytest.approx([61.4, 61.9, 62.4, 62.9])


def test_a_job_can_choose_chunk_duration_and_rate():
    plan = processor_with().calculate_optimal_chunks(video(100), chunk_duration_s=25, sample_fps=1)

    assert (len(plan.chunks), plan.grid.fps) == (4, Fraction(1))


def test_keyframes_halve_the_rate_of_the_grid_because_each_makes_two_frames():
    scopes = [Scope(selection=name) for name in get_args(FrameSelection)]
    plans = [processor_with().calculate_optimal_chunks(video(100), scope=scope) for scope in scopes]

    assert {plan.selection: plan.grid.fps for plan in plans} == {"uniform": 2, "keyframes": 1, "adaptive": 2}


@pytest.mark.parametrize("duration_s", [86_400, 5000.000001, 7777.77])
def test_chunks_are_made_longer_where_there_would_be_too_many_for_one_result(duration_s: float):
    plan = processor_with(chunk_overlap=0).calculate_optimal_chunks(video(duration_s), chunk_duration_s=1)

    assert len(plan.chunks) <= MAX_CHUNKS
    assert plan.adjustments[0].startswith("chunk_duration raised from 1 to ")
    assert_partitioned(plan, video(duration_s))


def test_chunks_that_exceed_the_budget_are_shortened_and_still_overlap():
    plan = processor_with().calculate_optimal_chunks(video(7200), chunk_duration_s=3600)

    assert [adjustment.split()[:3] for adjustment in plan.adjustments][1] == ["a", "chunk", "sees"]
    assert (plan.chunks[0].end_s, plan.chunks[0].seen_end_s) == (1534, 1536)
    assert_partitioned(plan, video(7200))


async def test_a_video_longer_than_the_limit_is_refused(clips: ClipStore):
    source = clips.clip("h264.mp4").path
    local = LocalVideo(source, source.stat().st_size)

    assert (await processor_with(max_video_duration_s=3).validate_video(local)).duration_s == 3
    with pytest.raises(VideoTooLong, match="lasts 3 s; the limit is 2 s"):
        await processor_with(max_video_duration_s=2).validate_video(local)


async def test_a_video_is_cut_into_a_file_for_each_chunk(clips: ClipStore, tmp_path: Path):
    source = clips.clip("h264-open-gop.mp4").path
    processor, local = processor_with(), LocalVideo(source, 1)
    info = await processor.validate_video(local)
    chunks = (Chunk(0, 0, 1.1, 1.5), Chunk(1, 1.1, 3, 3))

    files = await processor.split_video_into_chunks(local, info, chunks, tmp_path)

    assert [file.chunk for file in files] == list(chunks)
    assert all(file.first_frame_s <= file.chunk.start_s for file in files)
    assert [file.path.parent for file in files] == [tmp_path, tmp_path]


async def test_a_failed_cut_raises_one_typed_error(clips: ClipStore, tmp_path: Path):
    source = clips.clip("h264.mp4").path
    processor = processor_with()
    info = await processor.validate_video(LocalVideo(source, 1))
    chunks = (Chunk(0, 0, 1, 1), Chunk(1, 1, 3, 3))
    missing = LocalVideo(tmp_path / "missing.mp4", 1)

    with pytest.raises(MediaError):
        await processor.split_video_into_chunks(missing, replace(info, size_bytes=1), chunks, tmp_path)
