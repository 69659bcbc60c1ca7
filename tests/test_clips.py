"""The clips of the tests are the same on every machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from clips import CONSTANT_RATE, ClipStore
from tiny_model import world
from tiny_model.footage import Camera, film

ONE_OF_EACH_ENCODER_AND_CONTAINER = [
    "h264.mp4", "h264-open-gop.ts", "h264.mkv", "h264.flv", "hevc.mkv", "av1.webm", "vp8-hidden-pictures.webm",
    "vp9.webm", "mpeg2.mpg", "mpeg4.avi", "wmv2.wmv", "theora.ogv", "mjpeg.avi", "prores.mov",
]  # fmt: skip


@contextmanager
def one_processor() -> Iterator[None]:
    """Programs that are started here see one processor."""
    visible = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(visible)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, visible)


@pytest.mark.parametrize("name", ONE_OF_EACH_ENCODER_AND_CONTAINER)
def test_a_clip_has_the_same_bytes_however_many_processors_make_it(name: str, tmp_path: Path) -> None:
    assert name in CONSTANT_RATE
    usual, alone = tmp_path / "usual", tmp_path / "alone"
    usual.mkdir()
    alone.mkdir()
    made = ClipStore(usual).clip(name).path.read_bytes()
    with one_processor():
        assert ClipStore(alone).clip(name).path.read_bytes() == made


def test_a_film_of_the_test_model_has_the_same_bytes_however_many_processors_make_it(tmp_path: Path) -> None:
    timeline = world.random_timeline(np.random.default_rng(1), [0.0, 1.0], 2.0, 16 / 9)
    made = film(timeline, Camera(180, 320, 25), tmp_path / "usual.mp4").read_bytes()
    with one_processor():
        assert film(timeline, Camera(180, 320, 25), tmp_path / "alone.mp4").read_bytes() == made
