"""Which pictures are delivered, and every pixel of them, depends on the file and the instants alone."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from clip_kinds import Cell, KindStore, all_cells
from clips import CONSTANT_RATE, VARIABLE_RATE, ClipStore
from decoding import Decoded, decode_needed_packets, order_for
from foreign.media import with_edits

FPS = Fraction(25, 2)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> KindStore:
    return KindStore(tmp_path_factory.mktemp("kinds"))


def pixels_by_instant(decoded: Decoded) -> dict[int, tuple[int, bytes]]:
    """The time and the pixels of the picture at each instant."""
    return {
        index: (pts, picture.tobytes())
        for (first, stop, pts), picture in zip(decoded.shown, decoded.pixels, strict=True)
        for index in range(first, stop)
    }


def assert_independent(path: Path, threads: Sequence[int], places: Sequence[Fraction]) -> None:
    """The same pictures with every number of threads, from the start and from some places in the middle."""
    order = order_for(path, FPS)
    order = replace(order, grid=replace(order.grid, height_px=64, width_px=128))
    expected = pixels_by_instant(decode_needed_packets(path, replace(order, threads=1)))
    assert expected.keys() >= set(range(order.stop - 1))
    for start in (0, *(int(place * (order.stop - 1)) for place in places)):
        for number in threads:
            part = decode_needed_packets(path, replace(order, start=start, threads=number))
            assert pixels_by_instant(part) == {index: shown for index, shown in expected.items() if index >= start}


@pytest.mark.parametrize("name", [*CONSTANT_RATE, *VARIABLE_RATE])
def test_pictures_do_not_depend_on_threads_or_where_decoding_begins(name: str, clips: ClipStore):
    assert_independent(clips.clip(name).path, (2, 16), [Fraction(3, 5)])


@pytest.mark.parametrize("name", ["h264.mp4", "h264-open-gop.mp4", "hevc.mp4", "av1.mp4"])
def test_pictures_of_an_edited_film_do_not_depend_on_threads_or_where_decoding_begins(name: str, clips: ClipStore):
    edits = [(1.52, 0.8, 1), (0.3, 0.6, 0), (0.24, 0.96, 1), (2.2, 0.64, 0.5)]
    path = clips.write(f"in-stretches-{name}", with_edits(clips.clip(name).path.read_bytes(), edits))
    assert_independent(path, (2, 16), [Fraction(1, 5), Fraction(2, 5), Fraction(3, 5), Fraction(6, 7)])


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", [*CONSTANT_RATE, *VARIABLE_RATE])
def test_pictures_of_every_clip_do_not_depend_on_any_number_of_threads(name: str, clips: ClipStore):
    assert_independent(clips.clip(name).path, (1, 2, 4, 16), [Fraction(1, 4), Fraction(1, 2), Fraction(6, 7)])


@pytest.mark.exhaustive
@pytest.mark.parametrize("cell", [*all_cells()], ids=str)
def test_pictures_of_every_kind_of_file_do_not_depend_on_any_number_of_threads(cell: Cell, kinds: KindStore):
    assert_independent(kinds.clip(cell).path, (1, 2, 4, 16), [Fraction(1, 4), Fraction(1, 2), Fraction(6, 7)])
