"""The pictures of a file decoded in two ways: every packet, and as the worker does."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from clips import HEIGHT_PX, WIDTH_PX
from decoder import decode
from decoder.container.open import decode_frames, open_video
from decoder.convert.rgb import PictureConverter
from decoder.decode import Grid, Picture, Tally, shown_at_instants
from decoder.gop.pool import Converted, planned_stream
from decoder.probe import scan
from protocol import DecodePlan


@dataclass(frozen=True, slots=True)
class Decoded:
    """A plan's pictures with their instants and times, how many are damaged, and how many packets were decoded."""

    shown: list[tuple[int, int, int]]
    pixels: list[np.ndarray]
    damaged: int
    packets: int = 0
    kept: int = 0


def plan_of(path: Path, fps: Fraction, start: int = 0) -> DecodePlan:
    described: dict[str, Any] = scan(str(path))
    stop = int(described["duration_s"] * fps) + 1
    return DecodePlan(
        str(path), described["stream_index"], described["codec"], described["first_pts"], described["time_base_s"],
        described["fps"], str(fps), min(start, stop - 1), stop, HEIGHT_PX, WIDTH_PX,
        threads=2, on_gpu=False, fast=False, seekable=described["seekable"], keyframes_only=False,
    )  # fmt: skip


def decoded_whole(plan: DecodePlan) -> Decoded:
    """Decode every packet of the file."""
    with open_video(plan.path) as container:
        stream = planned_stream(container, plan, plan.threads)
        return _shown(decode_frames(container, stream), plan)


def decoded_sparsely(plan: DecodePlan) -> Decoded:
    """Decode as the worker does."""
    tally = Tally()
    result = _shown(decode.pictures_from(plan, Grid(plan), tally), plan)
    return replace(result, packets=tally.packets, kept=tally.decoded)


def _shown(pictures: Iterator[Picture], plan: DecodePlan) -> Decoded:
    converter = PictureConverter(plan.height_px, plan.width_px, plan.codec)
    shown: list[tuple[int, int, int]] = []
    pixels: list[np.ndarray] = []
    damaged = 0
    for one in shown_at_instants(pictures, Grid(plan), plan):
        shown.append((one.first, one.stop, one.picture.pts))
        picture = one.picture
        damaged += picture.is_damaged
        pixels.append(picture.pixels if isinstance(picture, Converted) else converter.convert(picture.frame))
    return Decoded(shown, pixels, damaged)


def assert_same(one: Decoded, other: Decoded) -> None:
    assert one.shown == other.shown
    assert all(np.array_equal(*pair) for pair in zip(one.pixels, other.pixels, strict=True))
