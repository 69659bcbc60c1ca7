"""The packets of a film, in decoding order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from decoder.container.clock import ContinuousClock
from decoder.container.open import place_of
from decoder.container.seams import Seams
from records import Part

NEW_CONFIGURATION: Final = "new_extradata"
"""libav's name for the side data of a packet that changes the stream's configuration."""


class Packets:
    """A stream's packets until the file ends or can no longer be read; a last packet that is cut off is left out.

    A decoder with several threads would report the cut-off packet while it returns its last pictures, and PyAV would
    lose those. Concatenated files keep one continuous clock.

    Args:
        container: where to read from, at its position.
        stream: the film.
        clock: of the parts before this one; None for a clock that begins here.
        part: which packets of the stream count; None for all.

    Attributes:
        clock: has read as far as the packets were taken.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        clock: ContinuousClock | None = None,
        part: Part | None = None,
    ) -> None:
        self._container, self._stream = container, stream
        self.clock = clock or ContinuousClock(stream)
        self._part = part
        self._seams = Seams(*place_of(container), container.format.name)
        self._is_reconfigured = False
        self.has_begun = False
        """Whether a packet has come."""
        self.is_cut_off = False
        """Whether the file ended too early; known once all packets are read. Not all containers tell."""

    @property
    def is_uniform(self) -> bool:
        """Whether clock and configuration have stayed the same so far."""
        return not (self.clock.has_restarted or self._is_reconfigured)

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        held: Packet[VideoStream] | None = None
        try:
            for packet in self._container.demux(self._stream):
                if not packet.size:  # libavcodec takes an empty packet for the end of the stream
                    continue
                if self._part is not None and (at_byte := packet.pos) is not None:
                    if at_byte >= self._part.end_byte:
                        break
                    if at_byte < self._part.first_byte:
                        continue
                self.has_begun = True
                self.clock.adjust(packet, self._seams)
                self._is_reconfigured |= is_reconfiguring(packet)
                if held is not None:
                    yield held
                held = packet
        except av.error.FFmpegError:
            self.is_cut_off = True
        if held is not None and held.is_corrupt:
            self.is_cut_off = True
        elif held is not None:
            yield held


def is_reconfiguring(packet: Packet[VideoStream]) -> bool:
    """Whether the configuration changes with this packet; a decoder learns of it only by being given the packet."""
    return packet.has_sidedata(NEW_CONFIGURATION)
