"""Ranges stand for sets of bytes: what is said of them holds for the sets."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from byte_ranges import ByteRange, merged, total_bytes, without

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)).map(lambda pair: ByteRange(pair[0], sum(pair))))


def bytes_of(ranges: list[ByteRange]) -> set[int]:
    return {byte for one in ranges for byte in range(one.start, one.stop)}


def are_apart(ranges: list[ByteRange], gap_bytes: int) -> bool:
    are_full = all(one.size_bytes > 0 for one in ranges)
    return are_full and all(one.stop + gap_bytes < other.start for one, other in pairwise(ranges))


@given(RANGES)
def test_merging_keeps_the_bytes(ranges):
    assert bytes_of(merged(ranges)) == bytes_of(ranges)
    assert are_apart(merged(ranges), 0)
    assert total_bytes(merged(ranges)) == len(bytes_of(ranges))


@given(RANGES, st.integers(1, 10))
def test_merging_across_gaps_adds_only_what_is_between(ranges, gap_bytes):
    across = merged(ranges, gap_bytes)
    assert bytes_of(across) >= bytes_of(ranges)
    assert are_apart(across, gap_bytes)
    added = merged([ByteRange(byte, byte + 1) for byte in bytes_of(across) - bytes_of(ranges)])
    assert all(one.size_bytes <= gap_bytes for one in added)


@given(RANGES, RANGES)
def test_what_is_left_without_others_is_in_none_of_them(ranges, others):
    left = without(ranges, others)
    assert bytes_of(left) == bytes_of(ranges) - bytes_of(others)
    assert left == sorted(left)
