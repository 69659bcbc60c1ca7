"""Converts decoded pictures to RGB as displayed: one field kept, resized, turned, colours converted."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.frame import VideoFrame

from decoder.container.frames import is_single_field
from decoder.container.orientation import Orientation, orientation_of
from decoder.convert import dolby, tone_map
from protocol import DecodeOrder

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
SHAPE_TOLERANCE = Fraction(1, 32)
"""Sizes are rounded, and some encoders change them by a few lines."""
SD_WIDTH_PX, SD_HEIGHT_PX = 1024, 576
"""Pictures up to this size are taken for BT.601, as players do."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the pictures that fill the converted ones."""

    aspect: Fraction
    """Width divided by height, as displayed."""
    pixel_aspect: Fraction
    """Width of a coded pixel, divided by its height."""


class PictureConverter:
    """Converts pictures to one size; the filter graph is built anew when their properties change midway.

    A picture of another shape than that of the video keeps it: black bars fill the rest.

    Args:
        height_px: height of the converted pictures.
        width_px: width of the converted pictures.
        codec: as protocol.CODECS names it.
        shape: of the video; None if every picture is to fill the converted one.
        is_dolby: the pictures have Dolby Vision's own colours.

    Attributes:
        has_bars: whether the picture that was converted last has bars.
    """

    def __init__(
        self, height_px: int, width_px: int, codec: str, shape: Shape | None = None, *, is_dolby: bool = False
    ) -> None:
        self._height_px = height_px
        self._width_px = width_px
        self._codec = codec
        self._shape = shape
        self._is_dolby = is_dolby
        self._graph: Graph | None = None
        self._built_for: tuple[object, ...] = ()
        self.has_bars = False

    @classmethod
    def for_order(cls, order: DecodeOrder) -> Self:
        """A converter for what an order asks for."""
        info = order.info
        shape = Shape(Fraction(info.width_px, info.height_px), info.pixel_aspect)
        is_dolby = "dolby_vision" in info.notices
        return cls(order.grid.height_px, order.grid.width_px, info.codec, shape, is_dolby=is_dolby)

    def convert(
        self, frame: VideoFrame, orientation: Orientation | None = None, pixel_aspect: Fraction | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return contiguous uint8 (height_px, width_px, 3) RGB in display orientation.

        Args:
            frame: a decoded picture.
            orientation: of the picture, if not only its own display matrix tells it.
            pixel_aspect: of the picture, if it may be another one than that of the video.
        """
        orientation = orientation or orientation_of(frame)
        transfer, primaries = int(frame.color_trc), int(frame.color_primaries)
        coded = (frame.format.name, frame.width, frame.height, frame.interlaced_frame)
        key = (*coded, frame.colorspace, frame.color_range, transfer, orientation, pixel_aspect)
        if self._graph is None or key != self._built_for:
            size_px = self._fitted_size(frame, orientation, pixel_aspect)
            self._graph, self._built_for = self._build(frame, orientation, *size_px), key
        self._graph.vpush(frame)
        pixels = self._graph.vpull().to_ndarray()
        if self._is_dolby:
            pixels = tone_map.to_sdr(dolby.to_pq(np.asarray(pixels, np.uint16)), tone_map.PQ, tone_map.BT2020)
        elif tone_map.is_hdr(transfer):
            pixels = tone_map.to_sdr(np.asarray(pixels, np.uint16), transfer, primaries)
        if self.has_bars:
            pixels = _with_bars(pixels, self._height_px, self._width_px)
        return np.ascontiguousarray(pixels, dtype=np.uint8)

    def _fitted_size(
        self, frame: VideoFrame, orientation: Orientation, pixel_aspect: Fraction | None
    ) -> tuple[int, int]:
        """Height and width of a picture that keeps its shape within the converted one, which has the video's shape."""
        if self._shape is None:
            return self._height_px, self._width_px
        lines = 2 * frame.height if is_single_field(frame, self._codec) else frame.height
        aspect = frame.width * (pixel_aspect or self._shape.pixel_aspect) / lines
        ratio = (1 / aspect if orientation.turn_deg in (90, 270) else aspect) / self._shape.aspect
        if abs(ratio - 1) <= SHAPE_TOLERANCE:
            return self._height_px, self._width_px
        if ratio > 1:
            return max(1, round(self._height_px / ratio)), self._width_px
        return self._height_px, max(1, round(self._width_px * ratio))

    def _build(self, frame: VideoFrame, orientation: Orientation, height_px: int, width_px: int) -> Graph:
        self.has_bars = (height_px, width_px) != (self._height_px, self._width_px)
        if orientation.turn_deg in (90, 270):  # the picture is turned after it was resized, which is cheaper
            height_px, width_px = width_px, height_px
        scale = f"scale={width_px}:{height_px}:flags={SCALE_FLAGS}"
        if self._is_dolby:
            scale += ":out_range=full"
        elif frame.colorspace not in CONVERTIBLE_MATRICES and not frame.format.is_rgb:
            scale += f":in_color_matrix={_likely_matrix(frame)}"
        graph = Graph()
        last = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        pixel_format = "rgb48le" if tone_map.is_hdr(int(frame.color_trc)) else "rgb24"
        if self._is_dolby:
            pixel_format = "yuv444p16le"
        passed_over = PASSED_OVER if frame.color_range in KNOWN_RANGES else f"{PASSED_OVER}:range=unknown"
        fields = _first_field(frame, self._codec)
        for spec in (passed_over, *fields, scale, f"format={pixel_format}", *orientation.filters, "buffersink"):
            name, _, arguments = spec.partition("=")
            node = graph.add(name, arguments or None)
            last.link_to(node)
            last = node
        graph.configure()
        return graph


def _with_bars(pixels: npt.NDArray[np.generic], height_px: int, width_px: int) -> npt.NDArray[np.uint8]:
    """A picture in the middle of a larger black one."""
    picture = np.zeros((height_px, width_px, 3), np.uint8)
    top, left = (height_px - pixels.shape[0]) // 2, (width_px - pixels.shape[1]) // 2
    picture[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return picture


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
