"""Splits a stream's packets into GOPs, and reduces each to the packets that are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from decoder.bitstream.base import BitstreamParser, ReferenceInfo
from decoder.container.packets import is_reconfiguring
from decoder.gop.access_unit import AccessUnit
from decoder.gop.inspection import InspectedPacket
from decoder.gop.select import DisplayIntervals, GopSegment, select_needed
from decoder.grid import Grid

MAX_HELD_PACKETS = 300
MAX_HELD_BYTES = 32 * 2**20
"""How far to read ahead for the end of a GOP; a longer one is split into several segments."""


def needed_segments(
    packets: Iterator[InspectedPacket], grid: Grid, new_parser: Callable[[], BitstreamParser]
) -> Iterator[GopSegment]:
    """Choose what to decode for the pictures on screen at the instants, and for the first picture after the last one.

    That picture ends the display interval of the one before it.
    """
    splitter, reader, last_dts = _GopSplitter(grid), _UnitReader(new_parser), None
    for one in packets:
        dts = one.packet.dts
        if last_dts is not None and dts is not None and dts < last_dts:
            yield splitter.flush_undecided()
            yield _undecided(one)
            yield from map(_undecided, packets)
            return
        last_dts = dts if dts is not None else last_dts
        yield from splitter.add(reader.access_unit(one))
        if splitter.is_complete:
            return
    yield from splitter.drain()


def _undecided(one: InspectedPacket) -> GopSegment:
    """A packet of a stream whose clock jumps: no time tells any more what it is shown next to."""
    unit = AccessUnit(one.packet, one.pts, ReferenceInfo(), BitstreamParser(), one.is_damaged, one.follows_loss)
    return GopSegment([unit], None, starts_gop=False, ends_gop=False)


class _UnitReader:
    """Makes access units of packets. What a damaged packet says is not believed.

    A parser that has read a damaged header may take all that follows for needed. So after damage, each packet is also
    shown to a new parser; the first random access point that this one finds makes it the parser.
    """

    def __init__(self, new_parser: Callable[[], BitstreamParser]) -> None:
        self._new_parser = new_parser
        self._parser = new_parser()
        self._is_in_doubt = self._is_reconfigured = False

    def access_unit(self, one: InspectedPacket) -> AccessUnit:
        """Parse the next packet."""
        packet = one.packet
        if is_reconfiguring(packet):  # the packets from here on are for the decoder that decodes everything
            self._parser, self._is_reconfigured = BitstreamParser(), True
        self._is_in_doubt |= one.is_damaged or one.follows_loss
        info = ReferenceInfo() if one.is_damaged else self._parser.parse(one.content)
        if self._is_in_doubt and not one.is_damaged and not self._is_reconfigured:
            info = self._after_damage(one, info)
        info = replace(info, is_output=False) if packet.is_discard else info
        return AccessUnit(packet, one.pts, info, self._parser, one.is_damaged, one.follows_loss)

    def _after_damage(self, one: InspectedPacket, info: ReferenceInfo) -> ReferenceInfo:
        parser = self._new_parser()
        fresh = parser.parse(one.content)
        if fresh.is_closed_rap or fresh.is_open_rap:
            self._parser, self._is_in_doubt = parser, False
            return fresh
        return info


class _GopSplitter:
    """Holds the access units of the current GOP until it ends or becomes too long."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._units: list[AccessUnit] = []
        self._size_bytes = 0
        self._starts_gop = False
        self._open_rap: int | None = None
        """The index of an open random access point among the units. A GOP starts there if no leading picture of it is
        needed."""
        self.is_complete = False
        """The first picture after the last instant has come."""

    def add(self, unit: AccessUnit) -> Iterator[GopSegment]:
        """Take the next access unit, and return the segments that end before it."""
        if self._open_rap is not None and not unit.is_shown_before(self._units[self._open_rap]):
            yield from self._split_at_open_rap(self._open_rap, unit)
            self._open_rap = None
        if self.is_complete:
            return
        if unit.info.is_closed_rap and self._units:
            yield self._segment(self._units, [unit], ends_gop=True)
            self._begin([], starts_gop=False)
        elif len(self._units) >= MAX_HELD_PACKETS or self._size_bytes >= MAX_HELD_BYTES:
            half = len(self._units) // 2
            yield self._segment(self._units[:half], self._units[half:], ends_gop=False)
            self._begin(self._units[half:], starts_gop=False)
        if not self._units:
            self._starts_gop = unit.info.is_closed_rap
        elif unit.info.is_open_rap:
            self._open_rap = len(self._units)
        self._units.append(unit)
        self._size_bytes += unit.packet.size

    def drain(self) -> Iterator[GopSegment]:
        """What is left at the end of the stream."""
        if self._units:
            yield self._segment(self._units, [], ends_gop=True)

    def flush_undecided(self) -> GopSegment:
        """All packets of the current GOP, without a choice among them."""
        return GopSegment(self._units, None, self._starts_gop, ends_gop=False)

    def _split_at_open_rap(self, index: int, following: AccessUnit) -> Iterator[GopSegment]:
        """End the GOP before an open random access point, if only unwanted pictures are lost by that.

        Args:
            index: of the random access point; the units after it are its leading pictures.
            following: the first access unit that is none of them.
        """
        intervals = DisplayIntervals([*self._units, following], self._grid)
        rap, leading = self._units[index], self._units[index + 1 :]
        if any(map(intervals.is_wanted, leading)) or not all(unit.is_shown_before(rap) for unit in self._units[:index]):
            return
        yield self._segment(self._units[:index], self._units[index:], ends_gop=True)
        self._begin([rap], starts_gop=True)

    def _begin(self, units: list[AccessUnit], *, starts_gop: bool) -> None:
        self._units, self._starts_gop, self._open_rap = units, starts_gop, None
        self._size_bytes = sum(unit.packet.size for unit in units)

    def _segment(self, units: list[AccessUnit], following: list[AccessUnit], *, ends_gop: bool) -> GopSegment:
        segment, is_last = select_needed(units, following, self._grid, starts_gop=self._starts_gop, ends_gop=ends_gop)
        self.is_complete = is_last and ends_gop
        return segment
