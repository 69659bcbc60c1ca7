"""What was fetched of a file: a packet from elsewhere would read as zeros, and is never looked at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from av.packet import Packet

from byte_ranges import ByteRange

AnyPacket = TypeVar("AnyPacket", bound="Packet[Any]")
PACKETS_AFTER_END = 40
"""If so many packets in a row are shown after an instant, all are that follow: no codec reorders more than 16 pictures.
What is told of a packet by those after it is told by fewer, see decoder.gop.inspection."""


class MissingBytes(Exception):
    """A packet would have to be looked at that was not fetched."""


class Present:
    """The parts of a file that were fetched.

    Args:
        ranges: in ascending order; none stand for all of the file.
    """

    def __init__(self, ranges: Sequence[ByteRange] = ()) -> None:
        self._ranges = ranges
        self._starts = [one.start for one in ranges]

    @property
    def is_all(self) -> bool:
        """Whether the whole file was fetched."""
        return not self._ranges

    def check(self, packet: Packet[Any]) -> None:
        """Make sure that a packet's content was fetched.

        Raises:
            MissingBytes: it was not.
        """
        if not self.is_all and not self._holds(packet):
            raise MissingBytes

    def checked(self, packets: Iterable[AnyPacket]) -> Iterator[AnyPacket]:
        """The same packets.

        Raises:
            MissingBytes: the next one was not fetched.
        """
        for packet in packets:
            self.check(packet)
            yield packet

    def until_hole(self, packets: Iterable[AnyPacket], is_after_end: Callable[[int], bool]) -> Iterator[AnyPacket]:
        """The packets before the first one that was not fetched, if all that are shown until an end are among them.

        Args:
            packets: in decoding order.
            is_after_end: whether a presentation time lies after the end.

        Raises:
            MissingBytes: one is missing that may be shown before the end, or that tells about those.
        """
        after_end = 0
        for packet in packets:
            if not self.is_all and not self._holds(packet):
                if after_end < PACKETS_AFTER_END:
                    raise MissingBytes
                return
            after_end = after_end + 1 if packet.pts is not None and is_after_end(packet.pts) else 0
            yield packet

    def _holds(self, packet: Packet[Any]) -> bool:
        if packet.pos is None:
            return False
        index = bisect_right(self._starts, packet.pos) - 1
        return index >= 0 and packet.pos + packet.size <= self._ranges[index].stop
