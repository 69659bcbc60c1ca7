"""Drops static frames: pairs in which nothing looks different."""

import numpy as np
import numpy.typing as npt

from vision import FRAMES_PER_PAIR, MIN_FRAMES

BLOCK_PX = 16
"""Frames are compared by the mean colours of square blocks; a change of about this size is the smallest that counts.
A subject of 40 x 90 pixels in a picture of 1280 x 720 covers 19 x 43 pixels of a frame of 608 x 352, and so always at
least 59 % of some block. Blocks of 8 pixels would be filled by it, but have twice the noise; of 32, half."""
MIN_CHANGE = 5
"""In steps of 255. Below it and above it lie, as the largest change of any block between any two frames of six seconds:

- noise. A camera's of 3 and 6 steps (standard deviation), by x264 at crf 18, 25 and 32: 0.7 to 1.7 in frames of 608 x
  352 from 1280 x 720; of 10 steps 1.9 to 2.4, and 4.2 to 4.6 where no shrinking takes noise away. By x265 at crf 28,
  6 steps: 1.3, unshrunk 2.7. An encoder alone, crf 18 to 32: 0.2 to 1.0.
- the subject above, at the same noise and crf. 12 steps brighter than what it covers: 10.6 to 12.3; 20 steps: 18.8 to
  20.3. At the worst place in the blocks it is seen from 9 steps on.

Means of every fourth pixel in each direction had noise of up to 13.9, and took as long."""
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
    rows, columns = height_px // BLOCK_PX, width_px // BLOCK_PX
    # First whole lines are added, which are contiguous: 16 bits hold 16 times 255.
    lines = np.add.reduce(pixels.reshape(frames, rows, BLOCK_PX, width_px * channels), axis=2, dtype=np.uint16)
    sums = lines.reshape(frames, rows, columns, BLOCK_PX, channels).sum(axis=3, dtype=np.uint32)
    return np.asarray(sums / np.float32(BLOCK_PX**2), np.float32)
