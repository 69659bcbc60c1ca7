"""How many frames of what size a span may have; exact arithmetic on the model's limits."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

FRAME_FACTOR_PX = 32
"""Patch 16 times spatial merge 2: height and width of a frame are multiples of this."""
FRAMES_PER_PAIR = 2
"""The temporal patch: two frames share one set of vision tokens."""
FLOOR_FRAME_TOKENS = 16
"""A pair of frames smaller than 128x128 shows nothing worth asking about."""
MIN_FRAMES = 4
"""qwen-vl-utils FPS_MIN_FRAMES: the shortest video that the model was trained on."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one chunk. The token fields count vision tokens, frame tokens those of one pair of frames."""

    max_frames: int
    max_video_tokens: int
    min_frame_tokens: int
    max_frame_tokens: int
    min_fps: Fraction


@dataclass(frozen=True, slots=True)
class SamplingRate:
    """The rate and frame size for chunks of at most span_s seconds."""

    fps: Fraction
    height_px: int
    width_px: int
    span_s: Fraction
    """The wanted span, or the longest that fits."""
    concessions: tuple[str, ...]


def microseconds(seconds: float) -> int:
    """The clock that plans are made in: on it, sums of decimal seconds are exact."""
    return max(1, round(seconds * 1_000_000))


def num_frames(span_s: Fraction, fps: Fraction) -> int:
    """The most sampling instants that a half-open span can hold."""
    return math.ceil(span_s * fps)


def video_tokens(frames: int, height_px: int, width_px: int) -> int:
    """Vision tokens of a chunk's frames; an odd last frame is paired with itself."""
    return math.ceil(frames / FRAMES_PER_PAIR) * height_px * width_px // FRAME_FACTOR_PX**2


def fit(span_s: Fraction, wanted_fps: Fraction, height_px: int, width_px: int, budget: Budget) -> SamplingRate:
    """Fit a span into the budget: the rate falls first, then the frames shrink, then the span.

    Args:
        span_s: seconds that a chunk sees, in whole microseconds.
        wanted_fps: frames per second of video; raised for spans that would have under four frames.
        height_px: of the source as displayed.
        width_px: of the source as displayed.
        budget: the limits of one chunk.
    """
    concessions = []
    usual_tokens = min(budget.min_frame_tokens, budget.max_frame_tokens)
    fps = max(wanted_fps, MIN_FRAMES / span_s)
    roomy_frames = _most_frames(budget, usual_tokens)
    if num_frames(span_s, fps) > roomy_frames:
        fps = max(min(fps, budget.min_fps), roomy_frames / span_s)
    if fps < wanted_fps:
        concessions.append(f"sample_fps lowered from {float(wanted_fps):.3g} to {float(fps):.3g}")
    dense_frames = _most_frames(budget, min(usual_tokens, FLOOR_FRAME_TOKENS))
    if num_frames(span_s, fps) > dense_frames:
        shorter_s = Fraction(math.floor(dense_frames / fps * 1_000_000), 1_000_000)
        concessions.append(f"a chunk sees {float(shorter_s):.4g} s instead of {float(span_s):.4g} s")
        span_s = shorter_s
    pairs = math.ceil(num_frames(span_s, fps) / FRAMES_PER_PAIR)
    frame_tokens = min(budget.max_frame_tokens, budget.max_video_tokens // pairs)
    if frame_tokens < usual_tokens:
        concessions.append(f"frames shrunk to {frame_tokens} tokens a pair, under the usual {usual_tokens}")
    height, width = frame_size(height_px, width_px, min(usual_tokens, frame_tokens), frame_tokens)
    return SamplingRate(fps, height, width, span_s, tuple(concessions))


def _most_frames(budget: Budget, frame_tokens: int) -> int:
    pairs = max(1, budget.max_video_tokens // frame_tokens)
    return min(budget.max_frames, pairs * FRAMES_PER_PAIR)


def frame_size(height_px: int, width_px: int, min_tokens: int, max_tokens: int) -> tuple[int, int]:
    """Apply qwen-vl-utils' rule for frame sizes, held to max_tokens also where that rule rounds up.

    The aspect ratio is held to the 200 that the rule accepts.
    """
    from qwen_vl_utils.vision_process import MAX_RATIO, smart_resize  # imports torch: seconds

    area_px = FRAME_FACTOR_PX**2
    height_px = max(height_px, math.ceil(width_px / MAX_RATIO))
    width_px = max(width_px, math.ceil(height_px / MAX_RATIO))
    height, width = smart_resize(height_px, width_px, FRAME_FACTOR_PX, min_tokens * area_px, max_tokens * area_px)
    if height * width > max_tokens * area_px:
        # Too small a picture was enlarged by rounding up; shrinking a larger one rounds down.
        enlarge = math.ceil(math.sqrt(max_tokens * area_px / (height_px * width_px))) + 1
        height, width = smart_resize(height_px * enlarge, width_px * enlarge, FRAME_FACTOR_PX, 1, max_tokens * area_px)
    # A very long and thin picture rounds to no height at all.
    height, width = max(height, FRAME_FACTOR_PX), max(width, FRAME_FACTOR_PX)
    longest_px = max_tokens * FRAME_FACTOR_PX
    return min(height, longest_px), min(width, longest_px)


def video_prompt_tokens(
    times_s: Sequence[float], height_px: int, width_px: int, count_tokens: Callable[[str], int]
) -> int:
    """All tokens that a chunk's frames add to a prompt: vision tokens, their brackets and the timestamps.

    Every pair of frames is preceded by its mean time, `<12.5 seconds>`, and stands between two brackets; two more are
    around the whole video.

    Args:
        times_s: of the frames.
        height_px: of a frame.
        width_px: of a frame.
        count_tokens: of a text, by the model's tokenizer.
    """
    pairs = [times_s[index : index + FRAMES_PER_PAIR] for index in range(0, len(times_s), FRAMES_PER_PAIR)]
    stamps = sum(count_tokens(f"<{sum(pair) / len(pair):.1f} seconds>") for pair in pairs)
    brackets = 2
    return video_tokens(len(times_s), height_px, width_px) + stamps + brackets * (len(pairs) + 1)
