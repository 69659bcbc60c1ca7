"""Exact arithmetic between a stream's ticks and the sampling instants of an order."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from protocol import DecodeOrder


class Grid:
    """The sampling instants of an order: instant k is k / fps seconds after the first picture, for start <= k < stop.

    A time named pts counts in ticks of the stream.
    """

    def __init__(self, order: DecodeOrder) -> None:
        self.start, self.stop = order.start, order.stop
        self._first_pts = order.info.first_pts
        self._time_base_s = order.info.time_base_s
        self._instants_per_tick = self._time_base_s * order.grid.fps
        self.mean_interval_ticks = self.ticks(1 / order.info.fps)
        """The mean time from one picture to the next."""
        self.last_pts = order.info.last_pts
        """When the last picture of the film appears."""
        self.end_pts = self._first_pts + round(Fraction(order.info.duration_s) / self._time_base_s)
        """When it disappears."""

    def first_index_from(self, pts: int) -> int:
        """The index of the first instant at or after a presentation time."""
        scaled = (pts - self._first_pts) * self._instants_per_tick.numerator
        return -(-scaled // self._instants_per_tick.denominator)

    def last_index_until(self, pts: int) -> int:
        """The index of the last instant at or before a presentation time."""
        return (pts - self._first_pts) * self._instants_per_tick.numerator // self._instants_per_tick.denominator

    def is_after_end(self, pts: int) -> bool:
        """Whether a presentation time is that of the instant after the last one, or later."""
        return self.last_index_until(pts) >= self.stop

    def has_instant_between(self, pts: int, end_pts: int) -> bool:
        """Whether an ordered instant lies in the half-open display interval [pts, end_pts)."""
        return max(self.first_index_from(pts), self.start) < min(self.first_index_from(end_pts), self.stop)

    def pts_of(self, index: int) -> int:
        """The last tick at or before an instant."""
        return self._first_pts + index * self._instants_per_tick.denominator // self._instants_per_tick.numerator

    def ticks(self, seconds: Fraction) -> int:
        """The least number of whole ticks that last at least this long."""
        return math.ceil(seconds / self._time_base_s)

    def seconds(self, pts: int) -> float:
        """Seconds from the first picture of the video to a presentation time."""
        return float((pts - self._first_pts) * self._time_base_s)

    def part(self, order: DecodeOrder, start: int, stop: int) -> Grid:
        """The instants from one index to another, on the clock of another order."""
        return Grid(replace(order, start=start, stop=stop))


class ListedInstants(Grid):
    """Some of an order's instants, numbered from 0.

    Args:
        order: of all instants.
        indices: those of the chosen instants in the order, ascending.
    """

    def __init__(self, order: DecodeOrder, indices: Sequence[int]) -> None:
        super().__init__(order)
        self._indices = indices
        self.start, self.stop = 0, len(indices)

    def first_index_from(self, pts: int) -> int:
        """The number of the first chosen instant at or after a presentation time."""
        return bisect_left(self._indices, super().first_index_from(pts))

    def last_index_until(self, pts: int) -> int:
        """The number of the last chosen instant at or before a presentation time."""
        return bisect_left(self._indices, super().last_index_until(pts) + 1) - 1

    def pts_of(self, index: int) -> int:
        """The last tick at or before a chosen instant."""
        return super().pts_of(self._indices[index])

    def part(self, order: DecodeOrder, start: int, stop: int) -> ListedInstants:
        """Those of the chosen instants from one number to another, on the clock of another order."""
        return ListedInstants(order, self._indices[start:stop])
