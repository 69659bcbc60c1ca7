"""A stream's packets in groups of pictures that are decoded by themselves, reduced to what is needed.

Child processes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from av.packet import Packet
from av.video.stream import VideoStream

from decoder.bitstream.base import References
from decoder.container.packets import is_reconfiguring, packet_time
from decoder.gop.select import Coded, Instants, Piece, Screen, needed_piece

MAX_AHEAD_PACKETS = 300
MAX_AHEAD_BYTES = 32 * 2**20
"""How far to read ahead for the end of a group of pictures; longer groups come in several pieces."""


def needed_pieces(
    packets: Iterator[Packet[VideoStream]], instants: Instants, references: References
) -> Iterator[Piece]:
    """Choose what to decode for the pictures on screen at the instants, and for the first one behind the last instant.

    That one tells that there are no more.
    """
    groups, last_dts = _Groups(instants), None
    for packet in packets:
        if last_dts is not None and packet.dts is not None and packet.dts < last_dts:
            yield groups.undecided()
            yield Piece([packet], None, starts_afresh=False, ends_group=False)
            yield from _blindly(packets)
            return
        last_dts = packet.dts if packet.dts is not None else last_dts
        if is_reconfiguring(packet):  # what is behind it is for the decoder that decodes all
            references = References()
        yield from groups.add(_coded(packet, references))
        if groups.are_over:
            return
    yield from groups.rest()


def _blindly(packets: Iterator[Packet[VideoStream]]) -> Iterator[Piece]:
    """Pieces of a stream whose clock jumps: no time says any more what it is next to."""
    for packet in packets:
        yield Piece([packet], None, starts_afresh=False, ends_group=False)


def _coded(packet: Packet[VideoStream], references: References) -> Coded:
    traits = references.traits(bytes(packet))
    traits = replace(traits, is_shown=False) if packet.is_discard else traits
    return Coded(packet, packet_time(packet), traits, references)


class _Groups:
    """The packets of the group in work, until it ends or is too long to be held."""

    def __init__(self, instants: Instants) -> None:
        self._instants = instants
        self._group: list[Coded] = []
        self._size_bytes = 0
        self._starts_afresh = False
        self._opened: int | None = None
        """Where in the group a picture stands that opens another, if the pictures that lead it are not needed."""
        self.are_over = False
        """The picture behind the last instant has come."""

    def add(self, coded: Coded) -> Iterator[Piece]:
        """Take the next packet; the pieces that end before it."""
        if self._opened is not None and not coded.precedes(self._group[self._opened]):
            yield from self._part_before(self._opened, coded)
            self._opened = None
        if self.are_over:
            return
        if coded.traits.restarts and self._group:
            yield self._piece(self._group, [coded], ends_group=True)
            self._begin([], starts_afresh=False)
        elif len(self._group) >= MAX_AHEAD_PACKETS or self._size_bytes >= MAX_AHEAD_BYTES:
            half = len(self._group) // 2
            yield self._piece(self._group[:half], self._group[half:], ends_group=False)
            self._begin(self._group[half:], starts_afresh=False)
        if not self._group:
            self._starts_afresh = coded.traits.restarts
        elif coded.traits.restarts_open:
            self._opened = len(self._group)
        self._group.append(coded)
        self._size_bytes += coded.packet.size

    def rest(self) -> Iterator[Piece]:
        """What is left at the stream's end."""
        if self._group:
            yield self._piece(self._group, [], ends_group=True)

    def undecided(self) -> Piece:
        """The group in work, all of it."""
        return Piece([coded.packet for coded in self._group], None, self._starts_afresh, ends_group=False)

    def _part_before(self, opened: int, following: Coded) -> Iterator[Piece]:
        """End the group before the picture that opens another, if that leaves out nothing but unwanted pictures.

        Args:
            opened: where the opening picture stands; all behind it lead it.
            following: the first packet that does not.
        """
        screen = Screen([*self._group, following], self._instants)
        opening, leading = self._group[opened], self._group[opened + 1 :]
        if any(map(screen.wants, leading)) or not all(coded.precedes(opening) for coded in self._group[:opened]):
            return
        yield self._piece(self._group[:opened], self._group[opened:], ends_group=True)
        self._begin([opening], starts_afresh=True)

    def _begin(self, group: list[Coded], *, starts_afresh: bool) -> None:
        self._group, self._starts_afresh, self._opened = group, starts_afresh, None
        self._size_bytes = sum(coded.packet.size for coded in group)

    def _piece(self, group: list[Coded], following: list[Coded], *, ends_group: bool) -> Piece:
        piece, is_last = needed_piece(
            group, following, self._instants, starts_afresh=self._starts_afresh, ends_group=ends_group
        )
        self.are_over = is_last and ends_group
        return piece
