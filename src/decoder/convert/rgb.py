"""Converts decoded pictures to RGB as displayed: one field kept, resized, turned, colours converted."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.frame import VideoFrame

from decoder.container.frames import is_single_field
from decoder.convert import tone_map
from decoder.convert.orientation import Orientation, orientation_of

# Without these, swscale halves the chroma resolution and rounds coarsely: 39 dB instead of 52 dB
# against an exact bicubic.
SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_inp+full_chroma_int"
# ITU-T H.273 numbers of the matrices that swscale converts: BT.709, FCC, BT.601 twice, SMPTE 240M, BT.2020.
CONVERTIBLE_MATRICES = frozenset([1, 4, 5, 6, 7, 9])
BT2020_CONSTANT_LUMINANCE = 10
UNSPECIFIED = tone_map.UNSPECIFIED
KNOWN_MATRICES = CONVERTIBLE_MATRICES | {UNSPECIFIED, BT2020_CONSTANT_LUMINANCE}
KNOWN_PRIMARIES = frozenset([1, UNSPECIFIED, 4, 5, 6, 7, 8, 9, 11, 12, 22])
"""Those of screens and of film."""
KNOWN_TRANSFERS = frozenset([1, UNSPECIFIED, 4, 5, 6, 7, 11, 12, 13, 14, 15, tone_map.PQ, tone_map.HLG])
"""The others, linear and logarithmic ones among them, look much darker or brighter."""
NUM_YUV_COMPONENTS = 3
# swscale refuses transfer characteristics and primaries that it does not know, and converts neither: tone_map does.
PASSED_OVER = "setparams=color_trc=unknown:color_primaries=unknown"
KNOWN_RANGES = frozenset([0, 1, 2])
"""Not said, limited and full."""
SD_WIDTH_PX, SD_HEIGHT_PX = 1024, 576
"""Pictures up to this size are taken for BT.601, as players do."""


class PictureConverter:
    """Converts pictures to one size; the filter graph is built anew when their properties change midway.

    Args:
        height_px: height of the converted pictures.
        width_px: width of the converted pictures.
        codec: as protocol.CODECS names it.
    """

    def __init__(self, height_px: int, width_px: int, codec: str) -> None:
        self._height_px = height_px
        self._width_px = width_px
        self._codec = codec
        self._graph: Graph | None = None
        self._built_for: tuple[object, ...] = ()

    def convert(self, frame: VideoFrame) -> npt.NDArray[np.uint8]:
        """Return contiguous uint8 (height_px, width_px, 3) RGB in display orientation."""
        orientation = orientation_of(frame)
        transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
        coded = (frame.format.name, frame.width, frame.height, frame.interlaced_frame)
        key = (*coded, frame.colorspace, frame.color_range, transfer, orientation)
        if self._graph is None or key != self._built_for:
            self._graph, self._built_for = self._build(frame, orientation), key
        self._graph.vpush(frame)
        pixels = self._graph.vpull().to_ndarray()
        if tone_map.is_hdr(transfer):
            pixels = tone_map.to_sdr(np.asarray(pixels, np.uint16), transfer, primaries)
        return np.ascontiguousarray(pixels, dtype=np.uint8)

    def _build(self, frame: VideoFrame, orientation: Orientation) -> Graph:
        height_px, width_px = self._height_px, self._width_px
        if orientation.turn_deg in (90, 270):  # the picture is turned after it was resized, which is cheaper
            height_px, width_px = width_px, height_px
        scale = f"scale={width_px}:{height_px}:flags={SCALE_FLAGS}"
        if frame.colorspace not in CONVERTIBLE_MATRICES and not frame.format.is_rgb:
            scale += f":in_color_matrix={_likely_matrix(frame)}"
        graph = Graph()
        last = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        pixel_format = "rgb48le" if tone_map.is_hdr(int(frame.color_trc)) else "rgb24"
        passed_over = PASSED_OVER if frame.color_range in KNOWN_RANGES else f"{PASSED_OVER}:range=unknown"
        fields = _first_field(frame, self._codec)
        for spec in (passed_over, *fields, scale, f"format={pixel_format}", *orientation.filters, "buffersink"):
            name, _, arguments = spec.partition("=")
            node = graph.add(name, arguments or None)
            last.link_to(node)
            last = node
        graph.configure()
        return graph


def has_known_colours(frame: VideoFrame) -> bool:
    """Whether a picture names no colours, or none but those that are shown as they are meant."""
    is_rgb_or_grey = frame.format.is_rgb or len(frame.format.components) < NUM_YUV_COMPONENTS
    return (
        int(frame.color_trc) in KNOWN_TRANSFERS
        and int(frame.color_primaries) in KNOWN_PRIMARIES
        and (is_rgb_or_grey or frame.colorspace in KNOWN_MATRICES)
    )


def _likely_matrix(frame: VideoFrame) -> str:
    """The matrix to assume, as players do, for a picture that names none or one that swscale does not convert."""
    if frame.colorspace == BT2020_CONSTANT_LUMINANCE or tone_map.is_hdr(int(frame.color_trc)):
        return "bt2020"
    return "bt709" if frame.width > SD_WIDTH_PX or frame.height > SD_HEIGHT_PX else "bt601"


def _first_field(frame: VideoFrame, codec: str) -> tuple[str, ...]:
    """Filters that keep the first field of an interlaced picture, which is the one that belongs to its time.

    The planned sizes seldom need more lines than one field has.
    """
    if not frame.interlaced_frame or is_single_field(frame, codec):
        return ()
    return ("separatefields", "framestep=2") if frame.height % 2 == 0 else ("field=top",)
