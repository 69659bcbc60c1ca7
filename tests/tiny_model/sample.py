"""The sample video of `make local`: three minutes at 720p with known scenes."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from clips import REPRODUCIBLE
from tiny_model import world
from tiny_model.footage import Camera, film
from tiny_model.world import Timeline

SEED = 2
DURATION_S = 180.0
STARTS_S = (0.0, 21.3, 43.8, 66.3, 84.8, 103.3, 127.7, 149.3, 166.8)
CAMERA = Camera(360, 640, 12)
TO_720P = "scale=1280:720"
# Small and grey: at the frame size of the test model it is a smear of two pixels.
CLOCK = "drawtext=text='%{pts\\:hms}':fontsize=22:fontcolor=gray:x=w-tw-24:y=h-th-20"
SAMPLE_NAME = f"sample-{zlib.crc32(repr((SEED, STARTS_S, CAMERA, TO_720P, CLOCK, REPRODUCIBLE)).encode()):08x}.mp4"
"""The name depends on the parameters above, so an older sample in the cache is never mistaken for this one."""


def sample_timeline() -> Timeline:
    """Return the timeline that the sample shows."""
    return world.random_timeline(np.random.default_rng(SEED), STARTS_S, DURATION_S, CAMERA.width_px / CAMERA.height_px)


def make_sample(path: Path, report: Callable[[float], None] = lambda _share: None) -> None:
    """Render the sample; the file is complete or does not exist.

    Args:
        path: the file to write.
        report: called with the share of the pictures that is written, 0 to 1.
    """
    report(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.mp4")  # two may make it at once
    film(sample_timeline(), CAMERA, partial, filters=[TO_720P, CLOCK], report=report)
    partial.rename(path)
