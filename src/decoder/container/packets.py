"""The packets of a stream, in decoding order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from decoder.container.continuity import MP4, Continuity, has_lost_fragments
from decoder.container.pts import ContinuousClock

NEW_CONFIGURATION: Final = "new_extradata"
"""libav's name for the side data of a packet that changes the stream's configuration."""
MAX_STANDSTILLS = 100_000
"""How often in a row libav may find nothing where it looks next; in a transport stream it looks at 64 KiB at a time."""


class Packets:
    """A stream's packets until the file ends or can no longer be read; a last packet that is cut off is left out.

    A decoder with several threads would report the cut-off packet while it returns its last pictures, and PyAV would
    lose those. Concatenated files keep one continuous clock.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._clock = ContinuousClock(stream)
        self._path = container.name.removeprefix("file:")
        self._continuity = Continuity(self._path, stream)
        self._after_losses: set[int | None] = set()
        self._at_joints: set[int | None] = set()
        self._shift_ticks = 0
        self._is_reconfigured = False
        self.is_interrupted_at_end = self.is_cut_off = False
        """Whether the file ended too early; known once all packets are read. Not all containers tell."""

    @property
    def is_uniform(self) -> bool:
        """Whether clock and configuration have stayed the same so far."""
        return not (self._clock.has_restarted or self._is_reconfigured)

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
        is_interrupted = False
        try:
            for packet in self._all_packets():
                is_interrupted |= self._continuity.is_interrupted_before(packet)
                if packet.stream_index != self._stream.index:
                    continue
                self._adjust_clock(packet)
                self._is_reconfigured |= is_reconfiguring(packet)
                if self._continuity.is_after_pause and packet.is_keyframe and not is_interrupted:
                    self._at_joints.add(packet.pos)
                if is_interrupted:
                    self._after_losses.add(packet.pos)
                    is_interrupted = False
                if held is not None:
                    yield held
                held = packet
        except av.error.FFmpegError:
            self.is_cut_off = True
        self.is_cut_off |= MP4 in self._container.format.name and has_lost_fragments(self._path)
        self.is_interrupted_at_end = self._continuity.is_interrupted_at_end()
        self.is_cut_off |= self.is_interrupted_at_end
        if held is not None and held.is_corrupt:
            self.is_cut_off = True
        elif held is not None:
            yield held

    def _adjust_clock(self, packet: Packet[VideoStream]) -> None:
        own_dts = packet.dts
        self._clock.adjust(packet)
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
