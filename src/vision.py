"""The model's geometry: the sizes that frames may have, and how many tokens they cost."""

import math
from collections.abc import Callable, Sequence

FRAME_FACTOR_PX = 32
"""Patch 16 times spatial merge 2: height and width of a frame are multiples of this."""
FRAMES_PER_PAIR = 2
"""The temporal patch: two frames share one set of vision tokens."""
MIN_FRAMES = 4
"""qwen-vl-utils FPS_MIN_FRAMES: the shortest video that the model was trained on."""
BRACKETS = 2
"""Tokens that open and close a pair of frames, and again the whole video."""
MAX_RATIO = 200
"""qwen-vl-utils MAX_RATIO: the longer side of a picture divided by the shorter one."""


def video_tokens(frames: int, height_px: int, width_px: int) -> int:
    """Vision tokens of a chunk's frames; an odd last frame is paired with itself."""
    return math.ceil(frames / FRAMES_PER_PAIR) * height_px * width_px // FRAME_FACTOR_PX**2


def frame_size(height_px: int, width_px: int, min_tokens: int, max_tokens: int) -> tuple[int, int]:
    """Return the height and width to which a picture is resized: Qwen's rule, but never more than max_tokens.

    Args:
        height_px: of the picture as displayed.
        width_px: of the picture as displayed.
        min_tokens: vision tokens of a pair of such frames, to which smaller pictures are enlarged.
        max_tokens: vision tokens of a pair of such frames, to which larger pictures are shrunk; not below min_tokens.
    """
    height_px = max(height_px, math.ceil(width_px / MAX_RATIO))
    width_px = max(width_px, math.ceil(height_px / MAX_RATIO))
    height, width = qwen_frame_size(height_px, width_px, min_tokens, max_tokens)
    if height * width > max_tokens * FRAME_FACTOR_PX**2:
        # Too small a picture was enlarged by rounding up; shrinking a larger one rounds down.
        enlarge = math.ceil(math.sqrt(max_tokens * FRAME_FACTOR_PX**2 / (height_px * width_px))) + 1
        height, width = qwen_frame_size(height_px * enlarge, width_px * enlarge, 1, max_tokens)
    # A very long and thin picture rounds to no height at all.
    height, width = max(height, FRAME_FACTOR_PX), max(width, FRAME_FACTOR_PX)
    longest_px = max_tokens * FRAME_FACTOR_PX
    return min(height, longest_px), min(width, longest_px)


def qwen_frame_size(height_px: int, width_px: int, min_tokens: int, max_tokens: int) -> tuple[int, int]:
    """Return the height and width that the model's own video reader gives a picture.

    The rule is that of qwen-vl-utils 0.0.14, vision_process.smart_resize, which would import torch; a test compares
    the two. Each side goes to the nearest multiple of FRAME_FACTOR_PX. A picture that then has more than max_tokens is
    shrunk to that area instead, and its sides are rounded down, perhaps to 0. One that has fewer than min_tokens is
    enlarged, and its sides are rounded up, perhaps beyond max_tokens.

    Args:
        height_px: of a picture whose sides have a ratio of at most MAX_RATIO; the package refuses others.
        width_px: see height_px.
        min_tokens: FRAME_FACTOR_PX**2 pixels each.
        max_tokens: see min_tokens.
    """
    factor_px = FRAME_FACTOR_PX
    rows, columns = max(1, round(height_px / factor_px)), max(1, round(width_px / factor_px))
    if rows * columns > max_tokens:
        shrink = math.sqrt(height_px * width_px / (max_tokens * factor_px**2))
        rows, columns = math.floor(height_px / shrink / factor_px), math.floor(width_px / shrink / factor_px)
    elif rows * columns < min_tokens:
        enlarge = math.sqrt(min_tokens * factor_px**2 / (height_px * width_px))
        rows, columns = math.ceil(height_px * enlarge / factor_px), math.ceil(width_px * enlarge / factor_px)
    return rows * factor_px, columns * factor_px


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
    text_tokens = sum(pair_text_tokens(time_s, count_tokens) for time_s in pair_times_s(times_s))
    return video_tokens(len(times_s), height_px, width_px) + text_tokens + BRACKETS


def pair_times_s(times_s: Sequence[float]) -> list[float]:
    """The time that the prompt gives for each pair of frames, before it is rounded to a tenth: the mean of both."""
    pairs = [times_s[index : index + FRAMES_PER_PAIR] for index in range(0, len(times_s), FRAMES_PER_PAIR)]
    return [float(sum(pair)) / len(pair) for pair in pairs]


def stamps_s(times_s: Sequence[float]) -> list[float]:
    """The times that the model reads before some frames, ascending, in tenths of a second."""
    return sorted({float(f"{time_s:.1f}") for time_s in pair_times_s(times_s)})


def pair_text_tokens(time_s: float, count_tokens: Callable[[str], int]) -> int:
    """Tokens that stand around the vision tokens of a pair of frames: its mean time and two brackets."""
    return count_tokens(f"<{time_s:.1f} seconds>") + BRACKETS
