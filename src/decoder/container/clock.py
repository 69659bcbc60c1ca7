"""The one clock of a film that was put together from several recordings."""

from __future__ import annotations

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
        self._restart_ticks, self._jump_ticks = RESTART_S / self._tick_s, JUMP_S / self._tick_s
        self._offset_ticks = self._interval_ticks = 0
        self._last: Packet[VideoStream] | None = None
        """The last one that had a DTS."""
        self._last_dts, self._latest_pts = 0, -(2**63)
        self._stream = stream
        self.has_restarted = False

    def adjust(self, packet: Packet[VideoStream], seams: Seams) -> None:
        """Shift a packet's times if the clock has restarted.

        Its DTS then follows that of the packet before it, or the first PTS of another stream the latest one before.

        Args:
            packet: the next one in decoding order.
            seams: of the file that the packet is from.
        """
        self._rescale(packet)
        last = self._last
        if last is not None and packet.stream is not self._stream:
            self._join(last, packet)
        elif last is not None and packet.dts is not None and packet.stream is last.stream:
            dts = packet.dts + self._offset_ticks
            if self._is_restart(last, packet, dts, seams):
                self._offset_ticks += self._last_dts + self._following_ticks(last) - dts
                self.has_restarted = True
            else:
                self._interval_ticks = dts - self._last_dts
        self._stream = packet.stream
        if packet.dts is not None:
            self._last, self._last_dts = packet, packet.dts + self._offset_ticks
        if self.has_restarted:
            packet.dts = self._last_dts
            if packet.pts is not None:
                packet.pts += self._offset_ticks
        self._latest_pts = max(self._latest_pts, packet.pts if packet.pts is not None else self._last_dts)

    def _join(self, last: Packet[VideoStream], packet: Packet[VideoStream]) -> None:
        """Let another stream go on where the one before ended, unless its own clock does so."""
        own_pts = packet.dts if packet.pts is None else packet.pts
        if own_pts is None:
            return
        step_ticks = own_pts + self._offset_ticks - self._latest_pts
        if not 0 < step_ticks <= self._jump_ticks:
            self._offset_ticks += self._following_ticks(last) - step_ticks
            self.has_restarted = True

    def _rescale(self, packet: Packet[VideoStream]) -> None:
        """Count a packet's times in ticks of the first stream."""
        tick_s = packet.stream.time_base
        if tick_s in {None, self._tick_s}:
            return
        scale = tick_s / self._tick_s
        packet.duration = round((packet.duration or 0) * scale)
        if packet.dts is not None:
            packet.dts = round(packet.dts * scale)
        if packet.pts is not None:
            packet.pts = round(packet.pts * scale)

    def _is_restart(self, last: Packet[VideoStream], packet: Packet[VideoStream], dts: int, seams: Seams) -> bool:
        if packet.stream.container.format.name not in CONCATENABLE:
            return False
        step_ticks = dts - self._last_dts
        if -self._restart_ticks <= step_ticks <= self._jump_ticks:
            return False
        own_from_ticks, own_to_ticks = self._last_dts - self._offset_ticks, dts - self._offset_ticks
        return step_ticks < 0 or seams.is_new_clock(
            last.pos, packet.pos, own_from_ticks * self._tick_s, own_to_ticks * self._tick_s
        )

    def _following_ticks(self, last: Packet[VideoStream]) -> int:
        """How long after the packet before a restart the next one comes; where no container says it, as before."""
        has_durations = last.stream.container.format.name not in CONCATENABLE
        return (has_durations and last.duration) or self._interval_ticks or last.duration or 1
