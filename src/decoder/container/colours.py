"""The colours that a container gives of its pictures."""

from __future__ import annotations

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

UNSPECIFIED, UNKNOWN_RANGE = 2, 0


class DeclaredColours:
    """Completes what a bitstream leaves unsaid: libav's decoders of HEVC and VP9 forget what the container said.

    Args:
        decoder: of the stream, before it has decoded anything.
    """

    def __init__(self, decoder: VideoCodecContext) -> None:
        self._primaries, self._transfer = decoder.color_primaries, decoder.color_trc
        self._matrix, self._range = decoder.colorspace, decoder.color_range

    def complete(self, frame: VideoFrame) -> None:
        """Give a picture the colours that it does not name itself."""
        if frame.color_primaries == UNSPECIFIED:
            frame.color_primaries = self._primaries
        if frame.color_trc == UNSPECIFIED:
            frame.color_trc = self._transfer
        if frame.colorspace == UNSPECIFIED and not frame.format.is_rgb:
            frame.colorspace = self._matrix
        if frame.color_range == UNKNOWN_RANGE:
            frame.color_range = self._range
