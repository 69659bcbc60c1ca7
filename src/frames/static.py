"""Which frames of a chunk show something new."""

import numpy as np
import numpy.typing as npt

from vision import FRAMES_PER_PAIR, MIN_FRAMES

BLOCK_PX = 16
"""The smallest thing whose change counts has about this size."""
STRIDE_PX = 4
"""Every fourth pixel, each way, stands for its neighbours."""
LEAST_CHANGE = 12
"""In steps of 255. A block's mean wanders by less in the noise of cameras and encoders."""
MAX_SKIPPED_PAIRS = 20
"""So that the model still sees that time passes: a pair at least every 20 s at two frames a second."""


def changing_pairs(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Choose the pairs of frames in which something looks different than in the last chosen frame.

    Whole pairs, because the model gives a pair one time: two frames from far apart would be told at a time between.

    Args:
        pixels: uint8 (T, H, W, 3) RGB; H and W are multiples of 32.

    Returns:
        bool (T,): the first pair is always chosen, and the last where less than the model's least would be left.
    """
    chosen = np.zeros(len(pixels), bool)
    blocks = _block_means(pixels)
    last = None
    for start in range(0, len(pixels), FRAMES_PER_PAIR):
        pair = slice(start, start + FRAMES_PER_PAIR)
        is_late = last is not None and start - last > MAX_SKIPPED_PAIRS * FRAMES_PER_PAIR
        if last is None or is_late or np.abs(blocks[pair] - blocks[last]).max() > LEAST_CHANGE:
            chosen[pair] = True
            last = min(start + FRAMES_PER_PAIR, len(pixels)) - 1
    if chosen.sum() < MIN_FRAMES:
        chosen[len(pixels) - 1 - (len(pixels) - 1) % FRAMES_PER_PAIR :] = True
    return chosen


def _block_means(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Mean colours: float32 (T, H / 16, W / 16, 3)."""
    frames, height_px, width_px, channels = pixels.shape
    across = BLOCK_PX // STRIDE_PX
    sparse = pixels[:, ::STRIDE_PX, ::STRIDE_PX]
    blocks = sparse.reshape(frames, height_px // BLOCK_PX, across, width_px // BLOCK_PX, across, channels)
    return np.asarray(blocks.mean((2, 4), dtype=np.float32))
