"""Synthetic frames for tests of the engine, which decode nothing."""

from fractions import Fraction

import numpy as np

from records import Chunk, FrameBatch, SampleGrid, Watched


def moving_square(num_frames: int, height_px: int, width_px: int, seed: int = 0) -> np.ndarray:
    """A bright square on noise that wanders a little: uint8 (T, H, W, 3), different for every seed."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 96, (num_frames, height_px, width_px, 3), dtype=np.uint8)
    top, left = generator.integers(0, height_px // 2), generator.integers(0, width_px // 2)
    colour = generator.integers(128, 256, 3, dtype=np.uint8)
    for index, frame in enumerate(pixels):
        column = (left + 4 * index) % (width_px - 16)
        frame[top : top + 16, column : column + 16] = colour
    return pixels


def frame_batch(
    num_frames: int, height_px: int, width_px: int, *, start_s: float = 0.0, fps: int = 2, seed: int = 0, index: int = 0
) -> FrameBatch:
    """A chunk's frames, as the extractor would deliver them."""
    end_s = start_s + num_frames / fps
    chunk, grid = Chunk(index, start_s, end_s, end_s), SampleGrid(0.0, Fraction(fps), height_px, width_px)
    return FrameBatch(
        watched=Watched(chunk, grid, num_frames, seen_until_s=end_s),
        pixels=moving_square(num_frames, height_px, width_px, seed),
        times_s=start_s + np.arange(num_frames) / fps,
        is_damaged=np.zeros(num_frames, bool),
    )
