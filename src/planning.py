"""Plans a video: its chunks, the rate at which it is sampled and the size of its frames, within a chunk's budget.

The arithmetic is exact: rates and spans are fractions, and times count in whole microseconds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

from config import Settings
from errors import InputError
from frames.selection import SELECTORS
from records import (
    Chunk,
    Notice,
    PromptRoom,
    Resolution,
    SampleGrid,
    Scope,
    VideoInfo,
    VideoPlan,
    Window,
)
from vision import FRAMES_PER_PAIR, MIN_FRAMES, frame_size

MAX_CHUNKS = 5000
"""Results of more chunks would be larger than the platform takes, even without their texts."""
FLOOR_FRAME_TOKENS = 16
"""A pair of frames smaller than 128x128 shows nothing worth asking about."""

WHOLE_VIDEO = Scope()
NOTICES: Mapping[Notice, str] = {
    "unknown_colours": "the video names colours that are not known, and is shown with those of ordinary video",
    "dolby_vision": "the video is Dolby Vision without a base layer, and is shown without what it says of each scene",
}


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one chunk. The token fields count vision tokens, frame tokens those of one pair of frames."""

    max_frames: int
    max_video_tokens: int
    min_frame_tokens: int
    max_frame_tokens: int
    min_fps: Fraction
    """The rate below which frames are made smaller instead."""
    room: PromptRoom | None = None
    """None if the context is not known; what does not fit is then found out by the engine."""

    @classmethod
    def from_settings(cls, settings: Settings, room: PromptRoom | None = None) -> Self:
        """Return the configured limits, within what the context leaves."""
        return cls(
            room=room,
            max_frames=settings.max_frames_per_chunk,
            max_video_tokens=settings.max_video_tokens_per_chunk,
            min_frame_tokens=settings.min_frame_tokens,
            max_frame_tokens=settings.max_frame_tokens,
            min_fps=Fraction(settings.min_sample_fps).limit_denominator(1000),
        )

    def for_resolution(self, resolution: Resolution) -> Self:
        """Return the limits with which frames have the wanted size.

        Small frames are as small as the rate may make them. Large ones count as usual: the rate falls for their sake.
        """
        match resolution:
            case "low":
                return replace(self, max_frame_tokens=min(self.min_frame_tokens, self.max_frame_tokens))
            case "high":
                return replace(self, min_frame_tokens=self.max_frame_tokens)
            case "medium":
                return self

    def most_pairs(self, frame_tokens: int) -> int:
        """Return how many pairs of so many vision tokens fit; at least one."""
        pairs = self.max_video_tokens // frame_tokens
        if self.room:
            pairs = min(pairs, self.room.tokens // (frame_tokens + self.room.pair_text_tokens))
        return max(1, pairs)

    def most_frame_tokens(self, pairs: int) -> int:
        """Return how many vision tokens each of so many pairs may have; at least one."""
        frame_tokens = self.max_video_tokens // pairs
        if self.room:
            frame_tokens = min(frame_tokens, self.room.tokens // pairs - self.room.pair_text_tokens)
        return max(1, frame_tokens)


@dataclass(frozen=True, slots=True)
class SamplingRate:
    """The rate and frame size for chunks of at most span_s seconds."""

    fps: Fraction
    height_px: int
    width_px: int
    span_s: Fraction
    """The wanted span, or the longest that fits."""
    adjustments: tuple[str, ...]
    """What was given up, one sentence each."""


@dataclass(frozen=True, slots=True)
class ChunkLength:
    """How long every chunk but the last one is, in seconds."""

    duration_s: float
    """What it answers for."""
    overlap_s: float
    """What it sees of the next one."""


def plan_video(
    info: VideoInfo,
    length: ChunkLength,
    sample_fps: float,
    budget: Budget,
    scope: Scope = WHOLE_VIDEO,
) -> VideoPlan:
    """Partition the video and choose rate and frame size; see VideoProcessor.calculate_optimal_chunks.

    Raises:
        InputError: the scope's window is outside the video.
    """
    window, narrowed = window_of(info, scope)
    length, raised = _bounded_count(length, window.duration_s, scope.max_frames)
    span_s = min(length.duration_s + length.overlap_s, window.duration_s)
    wanted_fps, lowered = _bounded_frames(window.duration_s, length, Fraction(str(sample_fps)), scope.max_frames)
    rate = sampling_rate(info, span_s, wanted_fps, budget.for_resolution(scope.resolution))
    if microseconds(float(rate.span_s)) < microseconds(span_s):
        length = _shortened(length, float(rate.span_s))
    # The rate counts frames, and an instant of the grid may give several.
    grid_fps = rate.fps / SELECTORS[scope.selection].frames_per_instant
    grid = SampleGrid(info.start_s, grid_fps, rate.height_px, rate.width_px)
    notices = (NOTICES[notice] for notice in info.notices)
    adjustments = (*notices, *narrowed, *raised, *lowered, *rate.adjustments)
    return VideoPlan(window, _partition(window, length, grid), grid, scope.selection, adjustments, scope.end_s)


def window_of(info: VideoInfo, scope: Scope) -> tuple[Window, list[str]]:
    """Return the part of a video that is looked at, and what of it the video does not have.

    Raises:
        InputError: the video has nothing of it.
    """
    if scope.start_s >= info.end_s:
        raise InputError(f"start_time is {scope.start_s:.10g} s, and the video ends at {info.end_s:.10g} s.")
    if scope.end_s <= info.start_s:
        raise InputError(f"end_time is {scope.end_s:.10g} s, and the video begins at {info.start_s:.10g} s.")
    window = Window(max(scope.start_s, info.start_s), min(scope.end_s, info.end_s))
    start_us, end_us = (round((time_s - info.start_s) * 1e6) for time_s in (window.start_s, window.end_s))
    if start_us == end_us:  # plans are made in whole microseconds
        raise InputError("start_time and end_time leave nothing of the video to look at.")
    has_less = info.end_s < scope.end_s < math.inf
    return window, [f"the video ends at {info.end_s:.10g} s, before end_time"] if has_less else []


def sampling_rate(info: VideoInfo, span_s: float, wanted_fps: float | Fraction, budget: Budget) -> SamplingRate:
    """Return rate and frame size for chunks of a video that see span_s seconds."""
    wanted = Fraction(str(wanted_fps))  # the decimal that a float was written as: 0.1 means a tenth
    span = Fraction(microseconds(span_s), 1_000_000)
    return fit(span, wanted, info.height_px, info.width_px, budget)


def fit(span_s: Fraction, wanted_fps: Fraction, height_px: int, width_px: int, budget: Budget) -> SamplingRate:
    """Fit a span into the budget: the rate falls first, then the frames shrink, then the span.

    Args:
        span_s: seconds that a chunk sees, in whole microseconds.
        wanted_fps: frames per second of video; raised for spans that would have fewer than MIN_FRAMES.
        height_px: of the source as displayed.
        width_px: of the source as displayed.
        budget: the limits of one chunk.
    """
    adjustments = []
    usual_tokens = min(budget.min_frame_tokens, budget.max_frame_tokens)
    fps = max(wanted_fps, MIN_FRAMES / span_s)
    roomy_frames = _most_frames(budget, usual_tokens)
    if num_frames(span_s, fps) > roomy_frames:
        fps = max(min(fps, budget.min_fps), roomy_frames / span_s)
    if fps < wanted_fps:
        adjustments.append(f"sample_fps lowered from {float(wanted_fps):.3g} to {float(fps):.3g}")
    dense_frames = _most_frames(budget, min(usual_tokens, FLOOR_FRAME_TOKENS))
    if num_frames(span_s, fps) > dense_frames:
        shorter_s = Fraction(math.floor(dense_frames / fps * 1_000_000), 1_000_000)
        adjustments.append(f"a chunk sees {float(shorter_s):.4g} s instead of {float(span_s):.4g} s")
        span_s = shorter_s
    pairs = math.ceil(num_frames(span_s, fps) / FRAMES_PER_PAIR)
    frame_tokens = min(budget.max_frame_tokens, budget.most_frame_tokens(pairs))
    if frame_tokens < usual_tokens:
        adjustments.append(f"frames shrunk to {frame_tokens} tokens a pair, under the usual {usual_tokens}")
    height, width = frame_size(height_px, width_px, min(usual_tokens, frame_tokens), frame_tokens)
    return SamplingRate(fps, height, width, span_s, tuple(adjustments))


def num_frames(span_s: Fraction, fps: Fraction) -> int:
    """The most sampling instants that a half-open span can hold."""
    return math.ceil(span_s * fps)


def microseconds(seconds: float) -> int:
    """The clock that plans are made in: on it, sums of decimal seconds are exact."""
    return max(1, round(seconds * 1_000_000))


def _most_frames(budget: Budget, frame_tokens: int) -> int:
    """The most frames of a chunk whose pairs cost frame_tokens each."""
    return min(budget.max_frames, budget.most_pairs(frame_tokens) * FRAMES_PER_PAIR)


def _bounded_count(length: ChunkLength, duration_s: float, max_frames: int | None) -> tuple[ChunkLength, list[str]]:
    """Return the length that gives at most MAX_CHUNKS chunks, or as many as some frames are enough for.

    The second value is what was adjusted for that.
    """
    most = MAX_CHUNKS if max_frames is None else min(MAX_CHUNKS, max(1, max_frames // (MIN_FRAMES + 1)))
    min_duration_s = math.ceil(microseconds(duration_s) / most) / 1_000_000
    if length.duration_s >= min_duration_s or duration_s <= length.duration_s:
        return length, []
    adjustment = f"chunk_duration raised from {length.duration_s:.4g} to {min_duration_s:.4g}"
    return replace(length, duration_s=min_duration_s), [adjustment]


def _bounded_frames(
    duration_s: float, length: ChunkLength, sample_fps: Fraction, max_frames: int | None
) -> tuple[Fraction, list[str]]:
    """Return the rate that gives at most max_frames frames, and what was adjusted for that.

    A chunk of n seconds has up to a frame more than n times the rate: its frames are those of the video's grid.
    """
    if max_frames is None:
        return sample_fps, []
    chunks = math.ceil(duration_s / length.duration_s)
    seen_s = Fraction(microseconds(duration_s + (chunks - 1) * length.overlap_s), 1_000_000)
    fps = (max_frames - chunks) / seen_s
    if fps >= sample_fps:
        return sample_fps, []
    return fps, [
        f"sample_fps lowered from {float(sample_fps):.3g} to {float(fps):.3g}, for at most {max_frames} frames"
    ]


def _shortened(length: ChunkLength, span_s: float) -> ChunkLength:
    """Return the length of chunks that see span_s seconds, of which the overlap is at most half."""
    overlap_s = min(length.overlap_s, span_s / 2)
    return ChunkLength(span_s - overlap_s, overlap_s)


def _partition(window: Window, length: ChunkLength, grid: SampleGrid) -> tuple[Chunk, ...]:
    """Cut the window into chunks; the last one answers also for a tail that is too short for its own."""
    duration_us = microseconds(length.duration_s)
    count, tail_us = divmod(microseconds(window.duration_s), duration_us)
    starts_s = [window.start_s + index * duration_us / 1_000_000 for index in range(count + 1)]
    has_instant = grid.first_index(starts_s[-1]) < grid.first_index(window.end_s)
    if count > 0 and not (has_instant and tail_us > 0 and tail_us >= length.overlap_s * 1_000_000):
        starts_s.pop()
    ends_s = [*starts_s[1:], window.end_s]
    return tuple(
        Chunk(index, start_s, end_s, min(end_s + length.overlap_s, window.end_s))
        for index, (start_s, end_s) in enumerate(zip(starts_s, ends_s, strict=True))
    )
