"""How the display turns a coded picture."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from av.sidedata.sidedata import SideData, SideDataContainer
from av.video.frame import VideoFrame

from records import VideoInfo

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


class Turns:
    """Follows the pictures that a decoder returns, of which a message of H.264 or HEVC may turn one and those after it.

    libav gives the display matrix of such a message to one picture alone: the first that is decoded after it, or none
    if it comes after the keyframe to which it belongs. By ITU-T H.264, D.2.27, it holds until the next keyframe, and
    whoever writes it repeats it there. So a keyframe with which none is found is turned as the video is, unless it has
    another size than its first picture. A container's matrix comes with every picture.

    Args:
        info: of the video, as far as it is known.
    """

    def __init__(self, info: VideoInfo | None = None) -> None:
        self._video, self._coded_size = UPRIGHT, None if info is None else (info.width_px, info.height_px)
        if info is not None:
            self._video = ORIENTATIONS[TURNS[info.rotation_deg // 90]]
            if info.pixel_aspect != 1:
                self._coded_size = None
            elif info.rotation_deg in (90, 270):
                self._coded_size = (info.height_px, info.width_px)
        self._last = self._video

    def of(self, frame: VideoFrame) -> Orientation:
        """The orientation of the next picture."""
        orientation = _own_orientation(frame)
        if orientation is None and frame.key_frame:
            has_first_size = self._coded_size in (None, (frame.width, frame.height))
            orientation = self._video if has_first_size else UPRIGHT
        self._last = orientation or self._last
        return self._last


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation that a picture's own display matrix asks for, to the nearest right angle."""
    return _own_orientation(frame) or UPRIGHT


def _own_orientation(frame: VideoFrame) -> Orientation | None:
    try:
        # frame.side_data would create a reference cycle: the pixels would stay until a garbage collection.
        matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # missing in PyAV's stubs
    except ValueError:  # there is other side data, such as Exif, that PyAV has no name for
        return ORIENTATIONS[TURNS[round(-frame.rotation / 90) % 4]]
    if not isinstance(matrix, SideData):
        return None
    a, b, _, c, d = DISPLAY_MATRIX.unpack_from(matrix)
    if abs(a) + abs(d) < abs(b) + abs(c):
        a = d = 0
    else:
        b = c = 0
    signs = tuple((value > 0) - (value < 0) for value in (a, b, c, d))
    return ORIENTATIONS.get(signs, UPRIGHT)
