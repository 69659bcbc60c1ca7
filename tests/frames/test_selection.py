"""What each selection makes of a picture that is on screen at the edge of a chunk."""

from fractions import Fraction
from typing import get_args

import pytest

from frames.pictures import QueuedPicture
from frames.selection import SELECTORS
from records import FrameSelection, SampleGrid

GRID = SampleGrid(10.0, Fraction(2), 32, 32)


def test_every_selection_has_a_selector():
    assert SELECTORS.keys() == set(get_args(FrameSelection))


@pytest.mark.parametrize("selection", ["uniform", "adaptive"])
def test_a_picture_gives_a_frame_for_every_instant_of_the_chunk_at_which_it_is_on_screen(selection: FrameSelection):
    picture = QueuedPicture(first=2, stop=6, time_s=10.9)

    assert SELECTORS[selection].frame_times_s(picture, range(4, 6), GRID) == [12.0, 12.5]


def test_a_keyframe_gives_a_pair_at_its_own_time_to_the_chunks_that_see_its_first_instant():
    picture = QueuedPicture(first=2, stop=6, time_s=11.3)

    assert SELECTORS["keyframes"].frame_times_s(picture, range(2, 4), GRID) == [11.3, 11.3]
    assert SELECTORS["keyframes"].frame_times_s(picture, range(4, 6), GRID) == []


def test_what_stands_in_for_a_keyframe_has_the_time_at_which_it_is_seen():
    shown_since_before = QueuedPicture(first=2, stop=6, time_s=3.2)

    assert SELECTORS["keyframes"].frame_times_s(shown_since_before, range(2, 6), GRID) == [11.0, 11.0]
