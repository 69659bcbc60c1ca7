"""The shape of coded pixels, which a broadcast changes between a programme of 4:3 and one of 16:9."""

from __future__ import annotations

from fractions import Fraction

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from decoder.container.formats import CONCATENABLE


class PixelAspects:
    """Follows the pictures that a decoder returns. PyAV tells the shape of the decoder's newest picture alone.

    That shape changes only with a keyframe, and decoders return few pictures later than they decode them. So what is
    said when a keyframe comes holds until the next one.

    Args:
        stream: whose decoder returns the pictures.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._decoder = stream.codec_context
        # In the other containers, what they say themselves holds for all pictures.
        self._is_told_by_pictures = stream.container.format.name in CONCATENABLE
        self._last: Fraction | None = None

    def of(self, frame: VideoFrame) -> Fraction | None:
        """Width of a pixel of the next picture, divided by its height; None if it is as for the whole video."""
        if self._is_told_by_pictures and frame.key_frame:
            self._last = self._decoder.sample_aspect_ratio or None
        return self._last
