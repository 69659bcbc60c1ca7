"""Stretches of a file, and the arithmetic with sets of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ByteRange:
    """The bytes [start, stop) of a file."""

    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        """How many they are."""
        return self.stop - self.start


def merged(ranges: Iterable[ByteRange], gap_bytes: int = 0) -> list[ByteRange]:
    """Return the same bytes as ascending ranges, joined with what is between two where that is at most gap_bytes."""
    result: list[ByteRange] = []
    for one in sorted(one for one in ranges if one.size_bytes > 0):
        if result and one.start <= result[-1].stop + gap_bytes:
            result[-1] = ByteRange(result[-1].start, max(result[-1].stop, one.stop))
        else:
            result.append(one)
    return result


def without(ranges: Iterable[ByteRange], others: Iterable[ByteRange]) -> list[ByteRange]:
    """Return the bytes of some ranges that are in none of the others, as ascending ranges."""
    taken, result = merged(others), []
    for one in merged(ranges):
        start = one.start
        for other in taken:
            if other.stop <= start or one.stop <= other.start:
                continue
            if start < other.start:
                result.append(ByteRange(start, other.start))
            start = other.stop
        if start < one.stop:
            result.append(ByteRange(start, one.stop))
    return result


def total_bytes(ranges: Sequence[ByteRange]) -> int:
    """Return how many bytes there are in ranges that do not overlap."""
    return sum(one.size_bytes for one in ranges)
