"""The one clock of a film that was put together from several recordings."""

from __future__ import annotations

import math
from fractions import Fraction

from av.packet import Packet
from av.video.stream import VideoStream

from decoder.container.formats import CONCATENABLE
from decoder.container.seams import Seams

RESTART_S = Fraction(1, 10)
"""By how much DTS must step back for the clock to count as restarted: the limit in ffmpeg's own program."""
JUMP_S = Fraction(10)
"""By how much DTS must step forward for the file to be asked: ffmpeg's program takes the clock for restarted then."""


class ContinuousClock:
    """Makes the times of concatenated files continue, in ticks of the first stream.

    The clock has restarted where DTS steps back, or where it jumps ahead and the file says that this is no standstill.
    In containers with an index of the whole both have other reasons, except where one file ends and another begins.

    Attributes:
        has_restarted: it did so at least once.
    """

    def __init__(self, stream: VideoStream) -> None:
        assert stream.time_base  # libav gives every stream of a file one
        self._tick_s = stream.time_base
        self._restart_ticks, self._jump_ticks = math.ceil(RESTART_S / self._tick_s), int(JUMP_S / self._tick_s)
        self._offset_ticks = self._interval_ticks = self._duration_ticks = 0
        self._last_dts: int | None = None
        self._last_byte: int | None = None
        self._latest_pts: int | None = None
        self._stream = stream
        self._scale: Fraction | None = None
        self._is_concatenable = _is_concatenable(stream)
        self.has_restarted = False

    def adjust(self, packet: Packet[VideoStream], seams: Seams) -> None:
        """Shift a packet's times if the clock has restarted.

        Its DTS then follows that of the packet before it, or the first PTS of another stream the latest one before.

        Args:
            packet: the next one in decoding order.
            seams: of the file that the packet is from.
        """
        if packet.stream is not self._stream:
            self._join(packet)
        elif self._scale is not None:
            _rescale(packet, self._scale)
        dts = packet.dts
        if dts is not None:
            dts += self._offset_ticks
            if self._last_dts is not None:
                interval_ticks = dts - self._last_dts
                if self._is_concatenable and not -self._restart_ticks <= interval_ticks <= self._jump_ticks:
                    dts = self._restarted(packet, dts, seams)
                else:
                    self._interval_ticks = interval_ticks
            self._last_dts, self._last_byte = dts, packet.pos
            self._duration_ticks = packet.duration or 0
        if self.has_restarted:
            packet.dts = self._last_dts
            if packet.pts is not None:
                packet.pts += self._offset_ticks
        pts = self._last_dts if packet.pts is None else packet.pts
        if pts is not None and (self._latest_pts is None or pts > self._latest_pts):
            self._latest_pts = pts

    def _restarted(self, packet: Packet[VideoStream], dts: int, seams: Seams) -> int:
        """The DTS of a packet before which the clock steps back or jumps ahead."""
        assert self._last_dts is not None
        if dts > self._last_dts:
            from_s, to_s = ((ticks - self._offset_ticks) * self._tick_s for ticks in (self._last_dts, dts))
            if not seams.is_new_clock(self._last_byte, packet.pos, from_s, to_s):
                self._interval_ticks = dts - self._last_dts
                return dts
        following_dts = self._last_dts + self._following_ticks
        self._offset_ticks += following_dts - dts
        self.has_restarted = True
        return following_dts

    def _join(self, packet: Packet[VideoStream]) -> None:
        """Let another stream go on where the one before ended, unless its own clock does so."""
        following_ticks = self._following_ticks
        self._stream, self._is_concatenable = packet.stream, _is_concatenable(packet.stream)
        tick_s = packet.stream.time_base
        self._scale = None if tick_s in {None, self._tick_s} else tick_s / self._tick_s
        if self._scale is not None:
            _rescale(packet, self._scale)
        own_pts = packet.dts if packet.pts is None else packet.pts
        if self._latest_pts is not None and own_pts is not None:
            step_ticks = own_pts + self._offset_ticks - self._latest_pts
            if not 0 < step_ticks <= self._jump_ticks:
                self._offset_ticks += following_ticks - step_ticks
                self.has_restarted = True
        self._last_dts = None

    @property
    def _following_ticks(self) -> int:
        """How long after the packet before a restart the next one comes; where no container says it, as before."""
        if self._is_concatenable:
            return self._interval_ticks or self._duration_ticks or 1
        return self._duration_ticks or self._interval_ticks or 1


def _is_concatenable(stream: VideoStream) -> bool:
    return stream.container.format.name in CONCATENABLE


def _rescale(packet: Packet[VideoStream], scale: Fraction) -> None:
    packet.duration = round((packet.duration or 0) * scale)
    if packet.dts is not None:
        packet.dts = round(packet.dts * scale)
    if packet.pts is not None:
        packet.pts = round(packet.pts * scale)
