"""Pictures without a presentation time get one from the known times around them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clips import H264, ClipStore, numbered_pictures
from decoder.container.pts import MAX_HELD_PICTURES, interpolate_missing_pts
from decoding import probed

PERIOD = 3600
PES_OF_PICTURES = re.compile(rb"\x00\x00\x01[\xe0-\xef]")


@dataclass(frozen=True, slots=True)
class Frame:
    """As much of a decoded picture as its time needs."""

    number: int
    pts: int | None


def shown(frames: Iterable[Any]) -> list[tuple[int, int]]:
    """The number of each picture that comes, and its time."""
    timed: Iterable[tuple[Any, int]] = interpolate_missing_pts(frames)
    return [(frame.number, pts) for frame, pts in timed]


@given(st.lists(st.booleans(), max_size=200), st.integers(0, 2**33))
def test_missing_times_of_a_constant_rate_are_restored_exactly(lacks: list[bool], start: int):
    times = [start + PERIOD * number for number in range(len(lacks) + 2)]
    untimed = [False, False, *lacks]
    frames = [Frame(number, None if untimed[number] else pts) for number, pts in enumerate(times)]
    assert shown(frames) == [*enumerate(times)]


@given(st.lists(st.integers(0, MAX_HELD_PICTURES - 2), min_size=2, max_size=20), st.data())
def test_a_time_that_is_attached_to_an_earlier_picture_than_its_own_is_corrected(runs: list[int], data: st.DataObject):
    """libav attaches times like this where several pictures start in the packet that has the time."""
    timed = [0]
    for run in runs:
        timed.append(timed[-1] + run + 1)
    owner = data.draw(st.integers(1, len(timed) - 1))
    thief = data.draw(st.integers(timed[owner - 1] + 1, timed[owner]))
    frames = [Frame(number, PERIOD * number if number in timed else None) for number in range(timed[-1] + 1)]
    if thief < timed[owner]:
        frames[thief] = Frame(thief, PERIOD * timed[owner])
    assert shown(frames) == [(number, PERIOD * number) for number in range(timed[-1] + 1)]


def test_with_a_variable_rate_known_times_stay_and_the_others_are_evenly_spaced():
    times = [0, None, 900, None, None, 1800]
    frames = [Frame(number, pts) for number, pts in enumerate(times)]
    assert shown(frames) == [(0, 0), (1, 450), (2, 900), (3, 1200), (4, 1500), (5, 1800)]


def test_pictures_before_the_first_known_time_are_dropped_and_without_a_second_one_all_others_too():
    assert shown([Frame(0, None), Frame(1, 100), Frame(2, None)]) == [(1, 100)]
    assert shown([Frame(0, None)]) == []


def test_a_stream_without_further_times_continues_at_its_rate_and_is_not_buffered():
    taken: list[int] = []

    def frames() -> Iterable[Any]:
        for number in range(1000):
            taken.append(number)
            yield Frame(number, PERIOD * number if number < 2 else None)

    timed: Iterable[tuple[Any, int]] = interpolate_missing_pts(frames())
    for frame, pts in timed:
        assert pts == PERIOD * frame.number
        assert len(taken) - frame.number <= MAX_HELD_PICTURES + 2
    assert frame.number == taken[-1]


def with_time(program_stream: bytes, which: int, pts: int) -> bytes:
    """Change one of the times of a program stream, ISO/IEC 13818-1, 2.4.3.7."""
    starts = [found.start() for found in PES_OF_PICTURES.finditer(program_stream)]
    timed = [start + 9 for start in starts if program_stream[start + 7] & 0x80]
    at, marker = timed[which], program_stream[timed[which]] & 0xF0
    fields = (marker | pts >> 29 & 14 | 1, pts >> 22 & 255, pts >> 14 & 254 | 1, pts >> 7 & 255, pts << 1 & 254 | 1)
    return program_stream[:at] + bytes(fields) + program_stream[at + 5 :]


@pytest.mark.parametrize("ticks_behind", [0, 1, 100])
def test_one_wrong_time_does_not_change_the_rate(ticks_behind: int, clips: ClipStore, tmp_path: Path):
    """Times a tick apart would be 90,000 pictures a second."""
    whole = clips.encode("h264.mpg", f"{H264} -f vob", numbered_pictures())
    info = probed(whole)
    changed = tmp_path / "changed.mpg"
    changed.write_bytes(with_time(whole.read_bytes(), 3, info.first_pts + ticks_behind))
    changed_info = probed(changed)
    assert changed_info.fps == info.fps
    assert changed_info.num_frames <= info.num_frames
