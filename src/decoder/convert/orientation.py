"""How the display turns a coded picture."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from av.sidedata.sidedata import SideData, SideDataContainer
from av.video.frame import VideoFrame

DISPLAY_MATRIX = struct.Struct("=5i")
"""The first five of nine numbers, row by row: a, b, u, c, d."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """The coded picture is mirrored left to right or not, then turned clockwise."""

    turn_deg: Literal[0, 90, 180, 270]
    filters: tuple[str, ...]
    """Both steps as filters of libavfilter."""


UPRIGHT = Orientation(0, ())
# By the signs of the display matrix's a, b, c, d: a picture's point (x, y) is shown at (ax + cy, bx + dy).
ORIENTATIONS = {
    (1, 0, 0, 1): UPRIGHT,
    (0, 1, -1, 0): Orientation(90, ("transpose=clock",)),
    (-1, 0, 0, -1): Orientation(180, ("hflip", "vflip")),
    (0, -1, 1, 0): Orientation(270, ("transpose=cclock",)),
    (-1, 0, 0, 1): Orientation(0, ("hflip",)),
    (0, -1, -1, 0): Orientation(90, ("transpose=clock_flip",)),
    (1, 0, 0, -1): Orientation(180, ("vflip",)),
    (0, 1, 1, 0): Orientation(270, ("transpose=cclock_flip",)),
}
TURNS = ((1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0))
"""The keys of the orientations without mirroring, by 0, 90, 180 and 270 degrees clockwise."""


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation that a picture's display matrix asks for, to the nearest right angle."""
    try:
        # frame.side_data would create a reference cycle: the pixels would stay until a garbage collection.
        matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # missing in PyAV's stubs
    except ValueError:  # there is other side data, such as Exif, that PyAV has no name for
        return ORIENTATIONS[TURNS[round(-frame.rotation / 90) % 4]]
    if not isinstance(matrix, SideData):
        return UPRIGHT
    a, b, _, c, d = DISPLAY_MATRIX.unpack_from(matrix)
    if abs(a) + abs(d) < abs(b) + abs(c):
        a = d = 0
    else:
        b = c = 0
    signs = tuple((value > 0) - (value < 0) for value in (a, b, c, d))
    return ORIENTATIONS.get(signs, UPRIGHT)
