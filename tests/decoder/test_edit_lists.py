"""An MP4 shows what its edit list says: any stretches of its stream, with gaps between them, and stills."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clips import ClipStore, number_in
from config import Settings
from decoder.container.edit_list import EditList, EditListEntry
from decoder.edited import edited_pictures
from decoder.gop.account import LostPicture
from decoder.gop.decoder import ConvertedPicture
from decoder.gop.pool import DecodedPicture
from decoder.grid import Grid
from decoder.probe import probe
from decoder.timeline import edited_times, edits_of
from decoder.times import PacketTimes
from decoding import decode_needed_packets, order_for, probed
from errors import UnsupportedCodec
from foreign.media import with_edits
from frame_extractor import FrameExtractor
from protocol import MAX_EDITS, DecodeOrder, ProbeReply, Refusal
from records import Chunk, Edit, LocalVideo
from test_protocol import ORDER
from video_processor import VideoProcessor

FILMS = ("h264-open-gop.mp4", "hevc.mp4")
PICTURES, RATE_FPS = 75, 25
EditRow = tuple[float | None, float, float]
INT64 = st.integers(-(2**63), 2**63 - 1)


def numbers_at(path: Path, order: DecodeOrder) -> dict[int, int]:
    """The number of the picture at each instant that has one, decoded as the worker does."""
    decoded = decode_needed_packets(path, order)
    assert not decoded.damaged
    return {
        index: number_in(pixels)
        for (first, stop, _), pixels in zip(decoded.shown, decoded.pixels, strict=True)
        for index in range(first, stop)
    }


def seconds(rows: Sequence[tuple[int | None, int, int]]) -> list[EditRow]:
    """Rows in pictures as with_edits takes them; a still begins in the middle of its picture."""
    return [
        (None if first is None else (first + (rate == 0) / 2) / RATE_FPS, count / RATE_FPS, rate)
        for first, count, rate in rows
    ]


def shown_by(rows: Sequence[tuple[int | None, int, int]]) -> list[int | None]:
    """The number of the picture in each twenty-fifth of a second, from the first one on."""
    shown: list[int | None] = []
    for first, count, rate in rows:
        numbers = [None if first is None else first + rate * step for step in range(count)]
        shown += [number if number is not None and number < PICTURES else None for number in numbers]
    while shown and shown[0] is None:
        del shown[0]
    while shown and shown[-1] is None:
        del shown[-1]
    return shown


ROW = st.tuples(st.none() | st.integers(0, 80), st.integers(1, 30), st.sampled_from([0, 1, 1]))


@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(FILMS),
    rows=st.lists(ROW, min_size=2, max_size=6),
    stride=st.sampled_from([1, 7]),
    place=st.floats(0, 1),
    version=st.sampled_from([0, 1]),
)
@example(name=FILMS[0], rows=[(0, 30, 1), (None, 25, 1), (30, 30, 1)], stride=1, place=0.5, version=0)
@example(name=FILMS[0], rows=[(0, 30, 1), (30, 30, 0), (30, 30, 1)], stride=1, place=0.5, version=0)
@example(name=FILMS[1], rows=[(40, 30, 1), (33, 8, 1), (2, 20, 1)], stride=1, place=0.5, version=1)
def test_any_stretches_gaps_and_stills_are_shown_at_their_times_wherever_decoding_begins(
    name: str, rows: list[tuple[int | None, int, int]], stride: int, place: float, version: int, clips: ClipStore
):
    content = with_edits(clips.clip(name).path.read_bytes(), seconds(rows), version)
    path = clips.write(f"edited-{name}", content)
    expected = shown_by(rows)
    if not expected:
        assert probe(str(path)) == Refusal.NO_FRAMES
        return
    order = order_for(path, Fraction(RATE_FPS, stride))
    start = int(place * (order.stop - 1))

    seen, late = numbers_at(path, order), numbers_at(path, replace(order, start=start))

    assert order.info.duration_s == pytest.approx(len(expected) / RATE_FPS)
    assert seen == {at: number for at, number in enumerate(expected[::stride]) if number is not None}
    assert late == {at: number for at, number in seen.items() if at >= start}


def test_a_list_of_one_stretch_is_left_to_libav(clips: ClipStore):
    content = clips.clip("h264.mp4").path.read_bytes()
    lists: list[list[EditRow]] = [[(0.6, 1.0, 1)], [(None, 1.0, 1), (0.0, 3.0, 1)], [(0.0, 9.0, 1)]]
    for number, edits in enumerate(lists):
        assert probed(clips.write(f"plain-{number}.mp4", with_edits(content, edits))).edits == ()
    assert probed(clips.clip("h264.mp4").path).edits == ()
    assert probed(clips.clip("h264-fragmented.mp4").path).edits == ()


def test_stretches_that_go_on_where_the_last_one_ended_are_one(clips: ClipStore):
    rows = [(number / RATE_FPS, 1 / RATE_FPS, 1) for number in range(PICTURES)]
    path = clips.write("in-pieces.mp4", with_edits(clips.clip("h264.mp4").path.read_bytes(), rows))

    assert len(probed(path).edits) == 1
    assert list(numbers_at(path, order_for(path, Fraction(RATE_FPS))).values()) == list(range(PICTURES))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(2.0, 0.0, 1)], range(50, 75)),
        ([(None, 1.0, 1), (2.0, 0.0, 1)], range(50, 75)),
        ([(0.4, 1.0, 1), (2.0, 0.0, 1)], range(10, 35)),
    ],
)
def test_a_stretch_of_no_duration_lasts_to_the_end_if_it_is_the_only_one(
    rows: list[EditRow], expected: range, clips: ClipStore
):
    path = clips.write("endless.mp4", with_edits(clips.clip("h264.mp4").path.read_bytes(), rows))

    assert list(numbers_at(path, order_for(path, Fraction(RATE_FPS))).values()) == list(expected)


def test_what_comes_after_too_many_edits_is_not_decoded_and_the_film_keeps_its_length(clips: ClipStore):
    rows = [(40 / RATE_FPS, 1 / RATE_FPS, 1), (4 / RATE_FPS, 1 / RATE_FPS, 1)] * MAX_EDITS
    path = clips.write("restless.mp4", with_edits(clips.clip("h264.mp4").path.read_bytes(), rows))
    info = probed(path)

    seen = numbers_at(path, order_for(path, Fraction(1), MAX_EDITS // RATE_FPS - 1))

    assert len(info.edits) == MAX_EDITS
    assert info.duration_s == pytest.approx(2 * MAX_EDITS / RATE_FPS)
    assert max(seen) < MAX_EDITS / RATE_FPS


async def test_a_gap_has_no_frames_and_is_told(clips: ClipStore):
    edits = [(0.0, 1.0, 1), (None, 1.0, 1), (1.0, 1.0, 1)]
    path = clips.write("with-gap.mp4", with_edits(clips.clip("h264.mp4").path.read_bytes(), edits))
    extractor = FrameExtractor(Settings(media_timeout_s=30))
    info = await extractor.get_video_info(path)
    sampling = order_for(path, Fraction(RATE_FPS)).grid

    batch = await extractor.extract_frames(path, info, sampling, Chunk(0, 0.0, info.end_s, info.end_s))

    assert [number_in(picture) for picture in batch.pixels] == list(range(50))
    assert [(span.start_s, span.end_s) for span in batch.watched.unseen] == [(1.0, 2.0)]


async def test_a_film_with_several_edits_cannot_be_split(clips: ClipStore, tmp_path: Path):
    edits = [(1.0, 1.0, 1), (0.2, 1.0, 1)]
    path = clips.write("unsplit.mp4", with_edits(clips.clip("h264.mp4").path.read_bytes(), edits))
    extractor = FrameExtractor(Settings(media_timeout_s=30))
    info = await extractor.get_video_info(path)

    with pytest.raises(UnsupportedCodec, match="cannot be cut"):
        await VideoProcessor(Settings(), extractor).split_video_into_chunks(
            LocalVideo(path, 1), info, (Chunk(0, 0.0, 1.0, 1.0),), tmp_path
        )


def test_a_film_that_begins_late_in_its_stream_is_not_read_from_the_start(clips: ClipStore):
    path = clips.write(
        "begins-late.mp4", with_edits(clips.clip("h264.mp4").path.read_bytes(), [(2.6, 0.2, 1), (2.5, 0.1, 1)])
    )

    decoded = decode_needed_packets(path, order_for(path, Fraction(RATE_FPS)))

    assert 0 < decoded.packets_read < PICTURES


def picture(pts: int) -> ConvertedPicture:
    return ConvertedPicture(pts, 10, is_damaged=False, pixels=np.empty((0, 0, 3), np.uint8), has_bars=False)


@pytest.mark.parametrize(("lost_pts", "expected"), [(40, (0, True)), (45, (0, True)), (55, (0, False))])
def test_an_edit_that_begins_while_a_lost_picture_should_be_on_screen_begins_with_a_damaged_one(
    lost_pts: int, expected: tuple[int, bool]
):
    info = replace(ORDER.info, first_pts=0, time_base_s=Fraction(1, 100), edits=(Edit(0, 100, 45, 145),))
    order = replace(ORDER, info=info, start=0, stop=1, keyframes_only=False)

    pictures: list[DecodedPicture] = [picture(30), LostPicture(lost_pts), picture(60)]
    first, *_ = edited_pictures(order, Grid(order), lambda *_: iter(pictures))

    assert isinstance(first, ConvertedPicture)
    assert (first.pts, first.is_damaged) == expected


def times_of(pts: Sequence[int], last_ticks: int) -> PacketTimes:
    """Times of a stream whose last picture lasts some ticks."""
    ordered = np.array(sorted(pts), np.int64)
    end_pts = int(ordered[-1]) + last_ticks
    return PacketTimes(
        len(pts), int(ordered[-1]), end_pts, is_variable=False, timing="pts", is_cut_off=False, is_uniform=True,
        has_losses=False, pts=ordered,
    )  # fmt: skip


ENTRY = st.builds(
    EditListEntry,
    st.none() | st.integers(0, 3000) | st.integers(0, 2**64 - 1),
    st.integers(-10, 3000) | INT64,
    st.sampled_from([Fraction(0), Fraction(1), Fraction(1, 2), Fraction(-1), Fraction(1, 2**16), Fraction(32767)]),
)


@settings(deadline=None)
@given(
    entries=st.lists(ENTRY, min_size=1, max_size=8).map(tuple),
    movie_hz=st.sampled_from([1, 600, 1000, 90_000, 2**32 - 1]),
    pts=st.sets(st.integers(-500, 2000), min_size=1, max_size=40),
    last_ticks=st.integers(1, 100),
)
def test_edits_follow_each_other_and_show_what_the_stream_has(
    entries: tuple[EditListEntry, ...], movie_hz: int, pts: set[int], last_ticks: int
):
    times = times_of([*pts], last_ticks)

    edits = edits_of(EditList(entries, movie_hz, is_fragmented=False), times, Fraction(1, 1000))

    assert all(one.stop_pts <= other.start_pts for one, other in pairwise(edits))
    for edit in edits:
        assert edit.start_pts < edit.stop_pts
        assert min(pts) <= edit.media_pts <= edit.media_stop_pts <= times.end_pts
        assert edit.shown_pts(edit.media_pts) == edit.start_pts
        assert edit.shown_pts(edit.media_stop_pts) <= edit.stop_pts
    if edits:
        shown = edited_times(times, edits)
        assert shown is not None
        assert shown.count == len(shown.pts) >= len(edits)
        assert edits[0].start_pts <= shown.last_pts < shown.end_pts == edits[-1].stop_pts


@given(
    start=st.integers(-1000, 1000),
    ticks=st.integers(1, 1000),
    rate=st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(3, 2), Fraction(7)]),
    pts=st.integers(0, 2000),
)
def test_a_picture_of_an_edit_is_shown_when_its_time_comes_or_at_most_a_tick_earlier(
    start: int, ticks: int, rate: Fraction, pts: int
):
    edit = Edit(start, start + ticks * rate.denominator, 10, 10 + ticks * rate.numerator)
    exact = max(Fraction(start), start + (pts - 10) / rate)

    assert math.floor(exact - 1 / rate) <= edit.shown_pts(pts) <= exact


def test_edits_arrive_as_they_were_sent(clips: ClipStore):
    edits = [(1.0, 1.0, 1), (None, 0.5, 1), (0.2, 1.0, 0)]
    info = probed(clips.write("sent.mp4", with_edits(clips.clip("h264.mp4").path.read_bytes(), edits)))

    assert len(info.edits) == 2
    assert ProbeReply.from_json(ProbeReply(info).to_json()).outcome == info
