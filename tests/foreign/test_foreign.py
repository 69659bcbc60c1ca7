"""Files as strangers make them are read as they are shown, or the result says what was not seen."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from decoder.probe import probe
from decoding import assert_same, decode_needed_packets, order_for
from foreign.case import Foreign, Right, whole
from foreign.corpus import INPUTS, file_of
from foreign.media import film
from foreign.not_yet import NOT_YET
from foreign.reading import faults, judged, read
from records import VideoInfo

INSTANTS_PER_S = Fraction(25, 2)
SOUND = Foreign("sound.mp4", "sound", lambda: film("a.mp4"), whole(100))


def marks_of(one: Foreign) -> Iterator[pytest.MarkDecorator]:
    if not one.is_quick:
        yield pytest.mark.exhaustive
    if why := NOT_YET.get(one.name):
        yield pytest.mark.xfail(reason=why, raises=AssertionError, strict=True)


@pytest.mark.parametrize("one", [pytest.param(one, id=one.name, marks=[*marks_of(one)]) for one in INPUTS])
async def test_a_foreign_file_is_read_as_it_is_shown_or_said_to_be_unseen(one: Foreign):
    _, found = await judged(one, file_of(one))
    assert found == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("one", INPUTS, ids=lambda one: one.name)
def test_what_is_shown_and_said_to_be_unseen_does_not_depend_on_the_number_of_threads(one: Foreign):
    path = file_of(one)
    if not isinstance(probe(str(path)), VideoInfo):
        assert one.right.status not in ("complete", "partial")
        return
    order = order_for(path, INSTANTS_PER_S)
    order = replace(order, grid=replace(order.grid, height_px=64, width_px=128))
    alone, *others = (decode_needed_packets(path, replace(order, threads=threads)) for threads in (1, 2, 4, 16))
    for together in others:
        assert_same(together, alone)
        assert together.unseen == alone.unseen


def test_every_input_has_a_name_of_its_own_and_every_kind_a_quick_one():
    names = [one.name for one in INPUTS]
    assert len(set(names)) == len(names)
    assert set(names) >= NOT_YET.keys()
    assert {one.kind for one in INPUTS} == {one.kind for one in INPUTS if one.is_quick}


@pytest.mark.parametrize(
    ("right", "fault"),
    [
        (whole(99), "100 pictures for 99"),
        (whole(100, first=1), "100 of 100 frames wrong: 0 for 1 at 0.00 s, 1 for 2 at 0.04 s"),
        (whole(100, size_px=(128, 256)), "256x128 for 128x256"),
        (replace(whole(100), status="partial"), "complete for partial"),
        (replace(whole(100), coverage=(0.4, 0.6)), "coverage 1.00 for 0.4 to 0.6"),
        (replace(whole(100), says=("sound",)), "does not say sound"),
        (replace(whole(100), parts=whole(150).parts), "100 frames for 150"),
        (Right(status="NO_FRAMES"), "complete for NO_FRAMES"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_not_right_is_a_fault(right: Right, fault: str, tmp_path: Path):
    path = file_of(SOUND, tmp_path)
    reading = await read(SOUND, path)
    assert fault in faults(replace(SOUND, right=right), reading, path)
    assert faults(SOUND, reading, path) == []


def test_the_bytes_of_an_input_depend_on_its_recipe_alone(tmp_path: Path):
    quick = next(one for one in INPUTS if one.name == "fields_apart.ts")
    assert file_of(quick, tmp_path / "one").read_bytes() == file_of(quick, tmp_path / "other").read_bytes()
