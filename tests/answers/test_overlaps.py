"""What two neighbouring chunks saw in the span that both of them see is told once, and nothing else changes."""

import time
from dataclasses import replace

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from answers.overlaps import Happening, told_once
from records import Chunk

CHUNKS = [Chunk(index, 10.0 * index, 10.0 * index + 10, min(40, 10.0 * index + 12)) for index in range(4)]


def happening(start_s: float, end_s: float, chunk: int, description: str = "a ball bounces") -> Happening:
    return Happening(start_s, end_s, description, (chunk,), 0.5)


@st.composite
def happenings(draw: st.DrawFn) -> Happening:
    chunk = draw(st.sampled_from(CHUNKS))
    halves = st.integers(int(2 * chunk.start_s), int(2 * chunk.seen_end_s))
    start, end = sorted((draw(halves), draw(halves)))
    description = draw(st.sampled_from(["a ball bounces", "the ball bounces", "a dog", "", "two dogs run"]))
    return Happening(start / 2, end / 2, description, (chunk.index,), draw(st.none() | st.sampled_from([0.2, 0.9])))


def test_what_both_saw_is_one_thing_over_the_whole_time() -> None:
    [one] = told_once([happening(8, 11.5, 0), happening(10, 14, 1, "the ball bounces")], CHUNKS)
    assert (one.start_s, one.end_s, one.chunks, one.description) == (8, 14, (0, 1), "a ball bounces")


def test_the_chunk_that_answers_for_the_beginning_has_the_word() -> None:
    [one] = told_once([happening(10.5, 11.5, 0), happening(10.5, 14, 1, "the ball bounces")], CHUNKS)
    assert one.description == "the ball bounces"


def test_other_things_in_the_overlap_stay_apart() -> None:
    assert len(told_once([happening(10, 11, 0), happening(10, 11, 1, "two dogs run")], CHUNKS)) == 2
    assert len(told_once([happening(10, 10.5, 0), happening(11, 12, 1)], CHUNKS)) == 2


def test_equal_things_outside_the_overlap_stay_apart() -> None:
    assert len(told_once([happening(2, 3, 0), happening(13, 14, 1)], CHUNKS)) == 2
    assert len(told_once([happening(2, 3, 0), happening(2.5, 3, 0)], CHUNKS)) == 2


def test_a_row_of_things_that_touch_is_not_drawn_together() -> None:
    row = [happening(8, 12, 0), happening(10, 22, 1), happening(20, 32, 2), happening(30, 35, 3)]
    assert [(one.start_s, one.end_s) for one in told_once(row, CHUNKS)] == [(8, 22), (20, 35)]


def test_the_likest_become_one_first() -> None:
    told = [
        happening(10, 11, 0, "a red ball bounces"),
        happening(10, 11, 1, "a ball"),
        happening(10, 11, 1, "red ball"),
    ]
    one, other = sorted(told_once(told, CHUNKS), key=lambda one: len(one.chunks))
    assert (one.chunks, other.chunks) == ((1,), (0, 1))


@hypothesis_settings(derandomize=True, max_examples=200)
@given(st.lists(happenings(), max_size=8))
def test_the_order_does_not_matter_and_doing_it_again_changes_nothing(told: list[Happening]) -> None:
    once = told_once(told, CHUNKS)
    assert told_once(once, CHUNKS) == once
    assert told_once(told[::-1], CHUNKS) == once
    assert told_once(sorted(told, key=lambda one: one.description), CHUNKS) == once


@hypothesis_settings(derandomize=True, max_examples=200)
@given(st.lists(happenings(), max_size=8))
def test_nothing_is_lost_and_nothing_is_invented(told: list[Happening]) -> None:
    once = told_once(told, CHUNKS)
    assert sum(len(one.chunks) for one in once) == len(told)
    for one in told:
        assert any(
            set(one.chunks) <= set(kept.chunks) and kept.start_s <= one.start_s and kept.end_s >= one.end_s
            for kept in once
        )
    alone = [replace(one, chunks=(0,)) for one in told]
    assert sorted(told_once(alone, CHUNKS), key=repr) == sorted(alone, key=repr)


def test_ten_hours_of_events_are_united_at_once() -> None:
    """It happens on the event loop, where every other job waits for it: all with all took ten seconds."""
    chunks = [Chunk(index, 60.0 * index, 60.0 * index + 60, 60.0 * index + 62) for index in range(600)]
    told = [happening(60 * index + step, 60 * index + step + 1, index) for index in range(600) for step in range(20)]
    began_s = time.process_time()
    assert len(told_once(told, chunks)) == len(told)
    assert time.process_time() - began_s < 3
