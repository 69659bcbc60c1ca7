"""Which packets of a GOP the wanted pictures are decoded from.

A packet is dropped if no wanted picture is decoded from it, directly or through others. The remaining pictures are
decoded to the same pixels. In doubt a picture is wanted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from decoder.bitstream.base import ALL_SLOTS
from decoder.gop.access_unit import AccessUnit
from decoder.grid import Grid


@dataclass(frozen=True, slots=True)
class GopSegment:
    """The needed access units, in decoding order, of a GOP or of a part of a GOP that is too long to be held."""

    units: list[AccessUnit]
    wanted_pts: frozenset[int] | None
    """The presentation times of the wanted pictures; None if they are not all known."""
    starts_gop: bool
    """Nothing in it references anything before it."""
    ends_gop: bool
    """Nothing after it references anything in it."""

    @property
    def is_closed_gop(self) -> bool:
        """It is a whole GOP, which can be decoded by itself."""
        return self.starts_gop and self.ends_gop

    @property
    def expected_pictures(self) -> int:
        """How many pictures will be taken from it, if the times of its packets are right."""
        return len(self.units if self.wanted_pts is None else self.wanted_pts)


class DisplayIntervals:
    """When each of some pictures is on screen: from its presentation time to that of the next one."""

    def __init__(self, units: Sequence[AccessUnit], grid: Grid) -> None:
        self._grid = grid
        self._times = sorted({unit.output_pts for unit in units if unit.output_pts is not None})
        self.closing_pts = next((pts for pts in self._times if grid.first_index_from(pts) >= grid.stop), None)
        """The time of the first picture after the last instant. It ends the last ordered display interval."""

    def is_wanted(self, unit: AccessUnit) -> bool:
        """Whether one of these pictures covers an instant, might cover one, or is the first after the last instant."""
        if unit.is_damaged:
            return True
        if unit.info.is_output is False:
            return False
        if unit.output_pts is None:
            return True
        following = bisect_right(self._times, unit.output_pts)
        if following == len(self._times) or unit.output_pts == self.closing_pts:
            return True
        return self._grid.has_instant_between(unit.output_pts, self._times[following])


def select_needed(
    units: list[AccessUnit], following: list[AccessUnit], grid: Grid, *, starts_gop: bool, ends_gop: bool
) -> tuple[GopSegment, bool]:
    """Select the needed packets of a GOP or of a part of one.

    Args:
        units: in decoding order.
        following: access units after them; their times tell until when the pictures stay on screen.
        grid: the ordered instants.
        starts_gop: see GopSegment.
        ends_gop: see GopSegment.

    Returns:
        The segment, and whether it holds the first picture after the last instant.
    """
    intervals = DisplayIntervals([*units, *following], grid)
    if any(unit.info.may_hide for unit in (*units, *following)):
        return GopSegment([unit.as_uncertain() for unit in units], None, starts_gop, ends_gop), False
    wanted = [intervals.is_wanted(unit) for unit in units]
    needed: list[AccessUnit] = []
    needed_slots = 0 if ends_gop else ALL_SLOTS
    for unit, is_wanted in zip(reversed(units), reversed(wanted), strict=True):
        dropped: set[int] = set()
        for index, frame in reversed(list(enumerate(unit.frames))):
            if (is_wanted and (frame.is_output is not False or unit.is_damaged)) or frame.refresh_slots & needed_slots:
                needed_slots = needed_slots & ~frame.refresh_slots | frame.ref_slots
            else:
                dropped.add(index)
        if len(dropped) < len(unit.frames) or (needed and unit.info.has_header):
            needed.append(unit.without_frames(dropped))
    wanted_pts = [unit.pts for unit, is_wanted in zip(units, wanted, strict=True) if is_wanted]
    known_pts = frozenset(pts for pts in wanted_pts if pts is not None)
    all_pts = known_pts if len(known_pts) == len(wanted_pts) else None
    return GopSegment(needed[::-1], all_pts, starts_gop, ends_gop), intervals.closing_pts in known_pts
