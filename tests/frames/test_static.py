"""Static frames are dropped in whole pairs, and every pair in which something changes is kept."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clips import H264, HEIGHT_PX, WIDTH_PX, ClipStore, number_in, numbered_pictures
from config import Settings
from frame_extractor import FrameExtractor
from frames.static import MAX_SKIPPED_PAIRS, changing_pairs
from records import Chunk, SampleGrid

SLIDES = ((0, 40), (40, 41), (41, 100))
"""The half-open range of instants at which each picture of a clip is shown; 2 instants a second."""


SUBTLE = 12
"""Steps of 255 by which a subject is brighter than what it covers."""
PICTURES_PER_S = 5
CROSSING = range(8, 12)
"""The pictures that show the subject: 0.8 s, with one instant of the grid among them."""


def room() -> np.ndarray:
    """A still of soft light, an edge and fine texture: 720 x 1280, levels of 30 to 210."""
    rows, columns = np.mgrid[:720, :1280]
    light = 100 + 45 * np.sin(columns / 210) + 25 * np.cos(rows / 170) + 15 * (rows > 600)
    texture = np.random.default_rng(1).normal(0, 5, (180, 320)).repeat(4, 0).repeat(4, 1)
    return np.asarray(light + texture * (columns > 640))


def noisy(pictures: np.ndarray, camera_noise: float = 5) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, camera_noise, pictures.shape).astype(np.float32)
    return (pictures + noise).clip(0, 255).astype(np.uint8)


def test_noise_does_not_count_as_a_change():
    chosen = changing_pairs(noisy(np.full((40, 64, 96, 3), 90)))
    assert np.flatnonzero(chosen).tolist() == [0, 1, 38, 39]


def test_a_small_object_that_appears_counts_as_a_change():
    pictures = np.full((30, 64, 96, 3), 90)
    pictures[13:, 40:52, 20:32] += 60
    assert np.flatnonzero(changing_pairs(noisy(pictures))).tolist() == [0, 1, 12, 13]


@pytest.mark.parametrize("left_px", range(16))
def test_a_small_subject_counts_as_a_change_wherever_it_lies_between_the_blocks(left_px: int):
    pictures = np.full((30, 64, 96, 3), 90)
    pictures[12, 10:53, 16 + left_px : 35 + left_px] += SUBTLE
    assert np.flatnonzero(changing_pairs(noisy(pictures))).tolist() == [0, 1, 12, 13]


@pytest.mark.parametrize(("contrast", "crf"), [(SUBTLE, 18), (SUBTLE, 32), (60, 32)])
async def test_the_frames_of_a_small_subject_that_crosses_a_still_picture_in_less_than_a_second_are_kept(
    contrast: int, crf: int, tmp_path: Path
):
    pictures = noisy(np.repeat(room()[None, ..., None], 20, axis=0), camera_noise=3).repeat(3, axis=-1)
    for index, left_px in zip(CROSSING, range(100, 1200, 310), strict=True):
        pictures[index, 440:530, left_px : left_px + 40] += np.uint8(contrast)
    options = f"-vf setpts=N/{PICTURES_PER_S}/TB -r {PICTURES_PER_S} -c:v libx264 -preset veryfast -crf {crf}"
    path = ClipStore(tmp_path).encode("crossing.mp4", f"{options} -pix_fmt yuv420p", pictures)
    extractor = FrameExtractor(Settings(media_timeout_s=30))
    info = await extractor.get_video_info(path)
    grid, chunk = SampleGrid(0, Fraction(2), 352, 608), Chunk(0, 0, info.end_s, info.end_s)

    kept = await extractor.extract_frames(path, info, grid, chunk, selection="adaptive")

    assert kept.times_s.tolist() == [0.0, 0.5, 2.0, 2.5]


def test_frames_are_compared_with_the_last_chosen_one_which_finds_a_slow_drift():
    pictures = np.arange(50)[:, None, None, None] + np.zeros((50, 32, 32, 3), int)
    chosen = np.flatnonzero(changing_pairs(pictures.astype(np.uint8)))
    assert 10 <= len(chosen) <= 20
    assert np.diff(chosen).max() <= 9


def test_a_long_static_scene_keeps_a_pair_at_regular_intervals():
    chosen = np.flatnonzero(changing_pairs(np.zeros((200, 32, 32, 3), np.uint8)))
    assert np.diff(chosen).max() == 2 * MAX_SKIPPED_PAIRS + 1


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 5])
def test_a_short_chunk_keeps_the_minimum_of_frames(frames: int):
    chosen = changing_pairs(np.zeros((frames, 32, 32, 3), np.uint8))
    assert chosen.sum() == min(frames, 3 if frames % 2 else 4)


async def test_a_quarter_of_the_frames_shows_every_slide_of_a_slide_show(tmp_path: Path):
    shown = [index for index, (first, stop) in enumerate(SLIDES) for _ in range(first, stop)]
    every_half_second = numbered_pictures(3)[shown]
    path = ClipStore(tmp_path).encode("slides.mp4", f"-vf setpts=N/2/TB -r 2 {H264}", every_half_second)
    extractor = FrameExtractor(Settings(media_timeout_s=30))
    info = await extractor.get_video_info(path)
    sampling, chunk = SampleGrid(0, Fraction(2), HEIGHT_PX, WIDTH_PX), Chunk(0, 0, info.end_s, info.end_s)

    every = await extractor.extract_frames(path, info, sampling, chunk)
    changing = await extractor.extract_frames(path, info, sampling, chunk, selection="adaptive")

    first_seen_s = dict(reversed([(number_in(p), t) for p, t in zip(changing.pixels, changing.times_s, strict=True)]))
    assert first_seen_s == {0: 0.0, 1: 20.0, 2: 20.5}
    assert len(changing.pixels) <= len(every.pixels) / 4
    assert changing.watched.seen_until_s == every.watched.seen_until_s == info.end_s
