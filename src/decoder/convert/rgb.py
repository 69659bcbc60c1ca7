"""One decoded picture to RGB pixels as displayed: turned, resized, colours converted; child processes only."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.frame import VideoFrame

from decoder.container.open import Orientation, is_field, orientation
from decoder.convert import tone_map

# Without these, swscale halves the chroma resolution and rounds coarsely: 39 dB instead of 52 dB
# against an exact bicubic.
SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_inp+full_chroma_int"
# ITU-T H.273 numbers of the matrices that swscale converts: BT.709, FCC, BT.601 twice, SMPTE 240M, BT.2020.
CONVERTIBLE_MATRICES = frozenset([1, 4, 5, 6, 7, 9])
BT2020_CONSTANT_LUMINANCE = 10
SD_WIDTH_PX, SD_HEIGHT_PX = 1024, 576


class PictureConverter:
    """Converts pictures to one size; rebuilds its filter when size, format or turn change mid-stream.

    Args:
        height_px: of the converted pictures, as width_px.
        width_px: see there.
        codec: as VideoInfo names it.
    """

    def __init__(self, height_px: int, width_px: int, codec: str) -> None:
        self._height_px = height_px
        self._width_px = width_px
        self._codec = codec
        self._graph: Graph | None = None
        self._built_for: tuple[object, ...] = ()

    def convert(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """Return contiguous uint8 (height_px, width_px, 3) RGB in display orientation."""
        shown = orientation(frame)
        transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
        coded = (frame.format.name, frame.width, frame.height, frame.interlaced_frame)
        key = (*coded, frame.colorspace, frame.color_range, transfer, shown)
        if self._graph is None or key != self._built_for:
            self._graph, self._built_for = self._build(frame, shown), key
        self._graph.vpush(frame)
        pixels = self._graph.vpull().to_ndarray()
        if tone_map.is_high_range(transfer):
            pixels = tone_map.to_standard_range(np.asarray(pixels, np.uint16), transfer, primaries)
        return np.ascontiguousarray(pixels, dtype=np.uint8)

    def _build(self, frame: VideoFrame, shown: Orientation) -> Graph:
        height_px, width_px = self._height_px, self._width_px
        if shown.turn_deg in (90, 270):  # turning the small picture is cheaper than the large one
            height_px, width_px = width_px, height_px
        scale = f"scale={width_px}:{height_px}:flags={SCALE_FLAGS}"
        if frame.colorspace not in CONVERTIBLE_MATRICES and not frame.format.is_rgb:
            scale += f":in_color_matrix={_likely_matrix(frame)}"
        graph = Graph()
        last = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        pixel_format = "rgb48le" if tone_map.is_high_range(int(frame.color_trc)) else "rgb24"
        for spec in (*_first_field(frame, self._codec), scale, f"format={pixel_format}", *shown.filters, "buffersink"):
            name, _, arguments = spec.partition("=")
            node = graph.add(name, arguments or None)
            last.link_to(node)
            last = node
        graph.configure()
        return graph


def _likely_matrix(frame: VideoFrame) -> str:
    """What to take for the matrix of a picture that names none of the convertible ones, as players do."""
    if frame.colorspace == BT2020_CONSTANT_LUMINANCE or tone_map.is_high_range(int(frame.color_trc)):
        return "bt2020"
    return "bt709" if frame.width > SD_WIDTH_PX or frame.height > SD_HEIGHT_PX else "bt601"


def _first_field(frame: VideoFrame, codec: str) -> tuple[str, ...]:
    """The filters that keep those lines of an interlaced picture which belong to its time; the others come later.

    The planned sizes seldom need more lines than these.
    """
    if not frame.interlaced_frame or is_field(frame, codec):
        return ()
    return ("separatefields", "framestep=2") if frame.height % 2 == 0 else ("field=top",)
