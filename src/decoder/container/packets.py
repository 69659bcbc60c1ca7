"""The packets of a film, in decoding order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from decoder.container.clock import ContinuousClock
from decoder.container.continuity import Continuity, has_lost_fragments
from decoder.container.formats import MP4, MPEG_TRANSPORT
from decoder.container.open import place_of
from decoder.container.seams import Seams
from records import Part

NEW_CONFIGURATION: Final = "new_extradata"
"""libav's name for the side data of a packet that changes the stream's configuration."""
MAX_STANDSTILLS = 100_000
"""How often in a row libav may find nothing where it looks next; in a transport stream it looks at 64 KiB at a time."""
PACKETS_BEFORE_JOINT = 3
"""So many packets before the first one of the next file libav may mark as damaged for it: it notices late."""


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
        path, start_byte = place_of(container)
        self._path = path
        self._seams = Seams(path, start_byte, container.format.name)
        self._continuity = Continuity(path, start_byte, start_byte + container.size, stream)
        self._after_losses: set[int | None] = set()
        self._at_joints: set[int | None] = set()
        self._before: deque[tuple[int | None, bool]] = deque(maxlen=PACKETS_BEFORE_JOINT)
        """Where the last packets begin, and whether libav marked them."""
        self._shift_ticks = 0
        self._is_reconfigured = False
        self.has_begun = False
        """Whether a packet has come."""
        self.is_interrupted_at_end = False
        """Whether the file ends inside a packet, or goes on after the last one with what is no part of it."""
        self.ends_at_joint = False
        """Whether the film goes on in another stream after its last packet."""
        self.is_cut_off = False
        """Whether the file ended too early; known once all packets are read. Not all containers tell."""

    @property
    def is_uniform(self) -> bool:
        """Whether clock and configuration have stayed the same so far."""
        return not (self.clock.has_restarted or self._is_reconfigured)

    @property
    def has_losses(self) -> bool:
        """Whether packets are missing between those so far."""
        return bool(self._after_losses)

    def is_at_joint(self, packet: Packet[VideoStream]) -> bool:
        """Whether files may have been joined before a packet: another clock begins, or a keyframe after a pause."""
        return packet.pos in self._at_joints

    def follows_loss(self, packet: Packet[VideoStream]) -> bool:
        """Whether packets of the stream are missing before one of them."""
        return packet.pos in self._after_losses

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        held: Packet[VideoStream] | None = None
        try:
            for packet in self._of_the_film():
                self._adjust_clock(packet)
                self._is_reconfigured |= is_reconfiguring(packet)
                if held is not None:
                    yield held
                held = packet
        except av.error.FFmpegError:
            self.is_cut_off = True
        self.is_interrupted_at_end = self._continuity.is_interrupted_at_end()
        has_lost = self._container.format.name == MP4 and has_lost_fragments(self._path)
        self.is_cut_off |= self.is_interrupted_at_end or has_lost
        if held is not None and held.is_corrupt:
            self.is_cut_off = True
        elif held is not None:
            yield held

    def _of_the_film(self) -> Iterator[Packet[VideoStream]]:
        """The packets that count, with a note where some are missing before one of them.

        Raises:
            av.error.FFmpegError: the file cannot be read any further.
        """
        is_interrupted = False
        for packet in self._all_packets():
            is_interrupted |= self._continuity.is_interrupted_before(packet)
            if packet.stream_index != self._stream.index:
                continue
            if self._part is not None and (at_byte := packet.pos) is not None:
                if at_byte >= self._part.end_byte:
                    self.ends_at_joint = True
                    return
                if at_byte < self._part.first_byte:
                    continue
            self.has_begun = True
            if is_interrupted:
                self._after_losses.add(packet.pos)
            elif packet.is_keyframe and self._may_be_joined_before(packet):
                self._at_joints.add(packet.pos)
            is_interrupted = False
            self._before.append((packet.pos, packet.is_corrupt))
            yield packet

    def _may_be_joined_before(self, packet: Packet[VideoStream]) -> bool:
        """Whether another file may begin with a keyframe: after a pause, or where libav misses transport packets."""
        is_suspect = self._container.format.name == MPEG_TRANSPORT and any(is_corrupt for _, is_corrupt in self._before)
        is_other = is_suspect and self._seams.is_another_file(self._before[-1][0], packet.pos)
        return self._continuity.is_after_pause or is_other

    def _adjust_clock(self, packet: Packet[VideoStream]) -> None:
        own_dts = packet.dts
        self.clock.adjust(packet, self._seams)
        if own_dts is not None and packet.dts is not None and packet.dts - own_dts != self._shift_ticks:
            self._shift_ticks = packet.dts - own_dts
            self._at_joints.add(packet.pos)

    def _all_packets(self) -> Iterator[Packet[Any]]:
        """The packets of all streams, on across places at which libav finds none.

        Raises:
            av.error.FFmpegError: the file cannot be read any further.
        """
        standstills = 0
        while True:
            try:
                for packet in self._container.demux():
                    if packet.size:  # libavcodec takes an empty packet for the end of the stream
                        standstills = 0
                        yield packet
            except av.error.BlockingIOError:
                standstills += 1
                if standstills > MAX_STANDSTILLS:
                    raise
            else:
                return


def is_reconfiguring(packet: Packet[VideoStream]) -> bool:
    """Whether the configuration changes with this packet; a decoder learns of it only by being given the packet."""
    return packet.has_sidedata(NEW_CONFIGURATION)
