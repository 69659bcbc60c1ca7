"""Ticks and sampling instants are converted exactly."""

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from decoder.grid import Grid
from test_protocol import ORDER

TICKS = st.integers(-(2**40), 2**40)


@given(
    first_pts=TICKS,
    time_base_s=st.sampled_from([Fraction(1, 1000), Fraction(1, 90_000), Fraction(1001, 30_000)]),
    fps=st.fractions(Fraction(1, 100), Fraction(60), max_denominator=1001),
    pts=TICKS,
    duration=st.integers(1, 10**6),
    start=st.integers(0, 1000),
    length=st.integers(1, 10**6),
)
def test_conversions_between_ticks_and_instants_are_exact(
    first_pts: int, time_base_s: Fraction, fps: Fraction, pts: int, duration: int, start: int, length: int
):
    info = replace(ORDER.info, first_pts=first_pts, time_base_s=time_base_s)
    grid = Grid(replace(ORDER, info=info, grid=replace(ORDER.grid, fps=fps), start=start, stop=start + length))

    def time_s(pts: int) -> Fraction:
        return (pts - first_pts) * time_base_s

    first, last = grid.first_index_from(pts), grid.last_index_until(pts)
    assert (first - 1) / fps < time_s(pts) <= first / fps
    assert last / fps <= time_s(pts) < (last + 1) / fps
    assert time_s(grid.pts_of(first)) <= first / fps < time_s(grid.pts_of(first) + 1)
    assert grid.seconds(pts) == float(time_s(pts))
    ordered = range(max(start, first), min(start + length, grid.first_index_from(pts + duration)))
    assert grid.has_instant_between(pts, pts + duration) == bool(ordered)
