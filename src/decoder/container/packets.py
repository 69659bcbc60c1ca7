"""The packets of a stream and when their pictures are shown; child processes only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

AVI, ASF, MPEG_PROGRAM = "avi", "asf", "mpeg"
NOT_PUT_IN_ORDER = frozenset(["h264", "mpeg1video", "mpeg2video"])
"""The codecs of which libav takes the times in an ASF for what they are not; those of MPEG-4 Part 2 it puts right."""
NEW_CONFIGURATION: Final = "new_extradata"
"""What libav calls the side data of a packet from which on the stream is decoded in another way."""
JOINABLE = frozenset(["mpegts", "mpeg", "flv"])
"""Containers without an index of the whole: files put one behind the other are such a file again."""
RESTART_S = Fraction(1, 10)
"""How far decoding times step back where a clock starts anew, at least: the bound of ffmpeg's own program."""


class Packets:
    """A stream's packets up to where the file ends, or can no longer be read; one that is cut off there is none.

    A decoder with several threads would report the cut-off one while it gives its last pictures, and PyAV lose them.
    Where the clock starts anew, as in files put one behind the other, times go on.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self._clock = _Clock(stream)
        self._is_reconfigured = False
        self.is_cut_off = False
        """Whether the file ended too early; known once all packets are read. Not all containers tell."""

    @property
    def is_even(self) -> bool:
        """Whether clock and configuration stayed the same, so far."""
        return not (self._clock.has_restarted or self._is_reconfigured)

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        held: Packet[VideoStream] | None = None
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:  # libavcodec takes an empty packet for the end of the stream
                    self._clock.set(packet)
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


class _Clock:
    """Sets packets to a clock that never starts anew; in other containers times step back for other reasons."""

    def __init__(self, stream: VideoStream) -> None:
        assert stream.time_base  # libav gives every stream of a file one
        can_restart = stream.container.format.name in JOINABLE
        self._restart_ticks = float(RESTART_S / stream.time_base) if can_restart else math.inf
        self._offset_ticks = self._interval_ticks = 0
        self._last_dts: int | None = None
        self.has_restarted = False

    def set(self, packet: Packet[VideoStream]) -> None:
        """Change a packet's times, if the clock has started anew; its decoding time follows the one before it."""
        if packet.dts is not None:
            dts = packet.dts + self._offset_ticks
            if self._last_dts is not None and dts < self._last_dts - self._restart_ticks:
                self._offset_ticks += self._last_dts + self._interval_ticks - dts
                self.has_restarted = True
            elif self._last_dts is not None:
                self._interval_ticks = dts - self._last_dts
            self._last_dts = packet.dts + self._offset_ticks
        if self.has_restarted:
            packet.dts = self._last_dts
            if packet.pts is not None:
                packet.pts += self._offset_ticks


def is_reconfiguring(packet: Packet[VideoStream]) -> bool:
    """Whether the stream is decoded in another way from here on; only a decoder that is given the packet knows."""
    return packet.has_sidedata(NEW_CONFIGURATION)


def has_times_of_decoding(stream: VideoStream) -> bool:
    """Whether packets say when they are decoded: the set of these times is right for the pictures, their order is not.

    All of an AVI do, and of an ASF those of some codecs, if pictures are shown in another order.
    """
    container, context = stream.container.format.name, stream.codec_context
    if container == ASF:
        return context.codec.canonical_name in NOT_PUT_IN_ORDER and bool(context.has_b_frames)
    return container == AVI


def is_untimed(stream: VideoStream) -> bool:
    """Whether not every packet has a time of its own: libav counts on, so only from the file's start is it right."""
    return stream.container.format.name == MPEG_PROGRAM or has_times_of_decoding(stream)


def packet_time(packet: Packet[VideoStream]) -> int | None:
    """When a packet's picture is shown, in ticks; but see `has_times_of_decoding`."""
    if packet.pts is None or has_times_of_decoding(packet.stream):
        return packet.dts
    return packet.pts
