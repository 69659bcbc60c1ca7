"""Pictures without a time of their own come at the times that their neighbours leave them."""

from collections.abc import Iterable
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from media.untimed import MAX_HELD, between_known_times

PERIOD = 3600


@dataclass(frozen=True, slots=True)
class Frame:
    """As much of a decoded picture as its time needs."""

    number: int
    pts: int | None


def shown(frames: Iterable[Frame]) -> list[tuple[int, int]]:
    """The number of each picture that comes, and its time."""
    return [(frame.number, pts) for frame, pts in between_known_times(frames)]


@given(st.lists(st.booleans(), max_size=200), st.integers(0, 2**33))
def test_of_a_constant_rate_every_picture_comes_at_its_time(lacks: list[bool], start: int):
    times = [start + PERIOD * number for number in range(len(lacks) + 2)]
    untimed = [False, False, *lacks]
    frames = [Frame(number, None if untimed[number] else pts) for number, pts in enumerate(times)]
    assert shown(frames) == [*enumerate(times)]


@given(st.lists(st.integers(0, MAX_HELD - 2), min_size=2, max_size=20), st.data())
def test_a_picture_that_has_the_time_of_a_later_one_comes_at_its_own(runs: list[int], data: st.DataObject):
    """As libav gives it, where several pictures begin in the packet that has the time."""
    timed = [0]
    for run in runs:
        timed.append(timed[-1] + run + 1)
    owner = data.draw(st.integers(1, len(timed) - 1))
    thief = data.draw(st.integers(timed[owner - 1] + 1, timed[owner]))
    frames = [Frame(number, PERIOD * number if number in timed else None) for number in range(timed[-1] + 1)]
    if thief < timed[owner]:
        frames[thief] = Frame(thief, PERIOD * timed[owner])
    assert shown(frames) == [(number, PERIOD * number) for number in range(timed[-1] + 1)]


def test_of_a_variable_rate_the_known_times_stay_and_the_others_are_even():
    times = [0, None, 900, None, None, 1800]
    frames = [Frame(number, pts) for number, pts in enumerate(times)]
    assert shown(frames) == [(0, 0), (1, 450), (2, 900), (3, 1200), (4, 1500), (5, 1800)]


def test_before_the_first_time_nothing_comes_and_without_a_second_one_only_that():
    assert shown([Frame(0, None), Frame(1, 100), Frame(2, None)]) == [(1, 100)]
    assert shown([Frame(0, None)]) == []


def test_a_stream_that_never_has_a_time_again_goes_on_and_is_not_held():
    taken: list[int] = []

    def frames() -> Iterable[Frame]:
        for number in range(1000):
            taken.append(number)
            yield Frame(number, PERIOD * number if number < 2 else None)

    for frame, pts in between_known_times(frames()):
        assert pts == PERIOD * frame.number
        assert len(taken) - frame.number <= MAX_HELD + 2
    assert frame.number == taken[-1]
