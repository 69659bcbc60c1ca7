"""Drops static frames: pairs in which nothing looks different."""

import numpy as np
import numpy.typing as npt

from vision import FRAMES_PER_PAIR, MIN_FRAMES

BLOCK_PX = 16
"""Frames are compared by the mean colours of square blocks; a change of about this size is the smallest that counts."""
STRIDE_PX = 4
"""A block's mean is taken from every fourth pixel in each direction."""
MIN_CHANGE = 12
"""In steps of 255. The noise of cameras and encoders changes a block's mean by less."""
MAX_SKIPPED_PAIRS = 20
"""After this many a pair is kept all the same, for the model to see that time passes: at least one every 20 s at two
frames a second."""


def changing_pairs(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Choose the pairs of frames that look different from the last chosen frame.

    Pairs are chosen whole. The model gives a pair one time, the mean of its frames' times: two frames from different
    pairs would be shown at a time between them.

    Args:
        pixels: uint8 (T, H, W, 3) RGB; H and W are multiples of 32.

    Returns:
        bool (T,): the first pair is always chosen; the last one too if fewer than MIN_FRAMES would be left.
    """
    chosen = np.zeros(len(pixels), bool)
    blocks = _block_means(pixels)
    last = None
    for start in range(0, len(pixels), FRAMES_PER_PAIR):
        pair = slice(start, start + FRAMES_PER_PAIR)
        is_late = last is not None and start - last > MAX_SKIPPED_PAIRS * FRAMES_PER_PAIR
        if last is None or is_late or np.abs(blocks[pair] - blocks[last]).max() > MIN_CHANGE:
            chosen[pair] = True
            last = min(start + FRAMES_PER_PAIR, len(pixels)) - 1
    if chosen.sum() < MIN_FRAMES:
        chosen[len(pixels) - 1 - (len(pixels) - 1) % FRAMES_PER_PAIR :] = True
    return chosen


def _block_means(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Mean colours: float32 (T, H / BLOCK_PX, W / BLOCK_PX, 3)."""
    frames, height_px, width_px, channels = pixels.shape
    across = BLOCK_PX // STRIDE_PX
    sparse = pixels[:, ::STRIDE_PX, ::STRIDE_PX]
    blocks = sparse.reshape(frames, height_px // BLOCK_PX, across, width_px // BLOCK_PX, across, channels)
    return np.asarray(blocks.mean((2, 4), dtype=np.float32))
