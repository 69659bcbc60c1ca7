"""What the worker and its children say arrives as it was sent, and a child that lies is not believed."""

import json
import math
import struct
import time
from dataclasses import asdict, replace
from fractions import Fraction
from typing import Any, get_args

import pytest
from av.codec import Codec
from hypothesis import given
from hypothesis import strategies as st

from byte_ranges import ByteRange
from protocol import (
    CODECS,
    DECODERS,
    GPU_CODECS,
    REASONS,
    DecodeOrder,
    DecodeStats,
    PictureHeader,
    ProbeReply,
    RangesReply,
    Refusal,
)
from records import Edit, OtherStream, Part, SampleGrid, Timing, UnseenReason, VideoInfo
from strict_json import INT64_MAX, MAX_MESSAGE_LENGTH, InvalidMessage

SECONDS = st.floats(0, 1e9)
RATES = st.builds(Fraction, st.integers(1, 2**31), st.integers(1, 2**31))
INFO = VideoInfo(
    start_s=1.4,
    duration_s=60.25,
    fps=Fraction(30_000, 1001),
    num_frames=1806,
    width_px=1920,
    height_px=1080,
    rotation_deg=90,
    codec="h264",
    pixel_format="yuv420p",
    container="mov,mp4,m4a,3gp,3g2,mj2",
    bit_rate_bps=1_000_000,
    variable_frame_rate=False,
    truncated=True,
    missing_s=0.5,
    size_bytes=10**10,
    stream_index=3,
    first_pts=-1024,
    time_base_s=Fraction(1, 90_000),
    seekable=True,
    notices=("unknown_colours",),
    last_pts=5_422_500,
    parts=(Part(0, 700, 3, 0, 500, has_late_streams=True), Part(700, 10**10, 0, 0, 10**9, has_late_streams=False)),
    unread_parts=2,
    edits=(Edit(-1024, 500, 0, 1524), Edit(700, 900, 5, 5)),
    other_streams=(OtherStream(4, "mjpeg", 160, 90, 1),),
    sound_after_s=12.5,
    present=(ByteRange(0, 500), ByteRange(700, 10**10)),
)
PART, OTHER, EDIT = asdict(INFO.parts[0]), asdict(INFO.other_streams[0]), asdict(INFO.edits[0])
BYTES = asdict(INFO.present[0])
ORDER = DecodeOrder(
    info=INFO,
    grid=SampleGrid(1.4, Fraction(2, 3), 352, 640),
    start=-2,
    stop=41,
    threads=4,
    skip_loop_filter=False,
    keyframes_only=True,
)
LIES: dict[str, list[object]] = {
    "start_s": [-0.1, math.nan, math.inf, 10**400, "1", None, True],
    "duration_s": ["oops", -1, 0, math.nan],
    "fps": ["1e10000000", "1e30000000", "0/1", "1/0", "-1/2", "1", 25, 25.0, "\u0663/\u0661", "1/" + "9" * 20, None],
    "num_frames": [0, -1, 2.0, True, 25_000_001, 10**30],
    "width_px": [-5, 0, 1.5, "64", 2**63],
    "rotation_deg": [45, 360, -90, "90"],
    "codec": ["", "png", None, "h264\0"],
    "pixel_format": ["", 7, "x" * 101],
    "truncated": [0, 1, "true", None],
    "stream_index": [-1, 1000],
    "first_pts": [2**63, 0.5],
    "time_base_s": ["0/90000", "1e5/1"],
    "seekable": ["yes", None],
    "notices": [None, "unknown_colours", ["x"], [1], [["unknown_colours"]], ["unknown_colours"] * 2],
    "last_pts": [2**63, "0"],
    "parts": [None, {}, [None], [[]], [{**PART, "stream": -1}], [{**PART, "start_byte": -1}], [PART] * 101],
    "unread_parts": [-1, None],
    "edits": [None, [None], [{**EDIT, "stop_pts": -1024}], [{**EDIT, "media_stop_pts": -1}], [EDIT] * 301],
    "other_streams": ["h264", [{**OTHER, "codec": ""}], [{**OTHER, "index": 1000}], [OTHER] * 101],
    "sound_after_s": [-1, math.nan],
    "present": [None, [None], [{"start": 5, "stop": 5}], [{"start": -1, "stop": 5}], [PART], [BYTES] * 2],
}


def reply_with(**changed: object) -> str:
    """A reply of a probe in which some values are others."""
    reply = json.loads(ProbeReply(INFO).to_json())
    return json.dumps({"info": {**reply["info"], **changed}})


@given(
    st.builds(
        replace,
        st.just(INFO),
        start_s=SECONDS,
        duration_s=st.floats(1e-6, 1e9),
        fps=RATES,
        time_base_s=RATES,
        codec=st.sampled_from([*CODECS]),
        rotation_deg=st.sampled_from([0, 90, 180, 270]),
        first_pts=st.integers(-INT64_MAX, INT64_MAX),
        seekable=st.booleans(),
        timing=st.sampled_from(get_args(Timing)),
    )
)
def test_a_description_arrives_as_it_was_sent(info: VideoInfo):
    assert ProbeReply.from_json(ProbeReply(info).to_json().encode()) == ProbeReply(info)


@pytest.mark.parametrize("refusal", Refusal)
def test_a_refusal_arrives_as_it_was_sent(refusal: Refusal):
    assert ProbeReply.from_json(ProbeReply(refusal).to_json()) == ProbeReply(refusal)


@given(fps=RATES, start=st.integers(-1000, 10**9), threads=st.integers(1, 64), keyframes_only=st.booleans())
def test_an_order_arrives_as_it_was_sent(fps: Fraction, start: int, threads: int, *, keyframes_only: bool):
    grid = replace(ORDER.grid, fps=fps)
    order = replace(ORDER, grid=grid, start=start, threads=threads, keyframes_only=keyframes_only)

    assert DecodeOrder.from_json(order.to_json()) == order


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in LIES.items() for value in values])
def test_a_description_with_an_impossible_value_is_refused_at_once(name: str, value: object):
    started_s = time.process_time()

    with pytest.raises(InvalidMessage):
        ProbeReply.from_json(reply_with(**{name: value}))

    assert time.process_time() - started_s < 0.05


def test_a_description_with_a_field_too_many_or_too_few_is_refused():
    with pytest.raises(InvalidMessage):
        ProbeReply.from_json(reply_with(path="x"))
    for name in json.loads(ProbeReply(INFO).to_json())["info"]:
        fields = json.loads(reply_with())["info"]
        del fields[name]
        with pytest.raises(InvalidMessage):
            ProbeReply.from_json(json.dumps({"info": fields}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"refused": "bored"}',
        b'{"refused": ["unreadable"]}',
        b'{"refused": "unreadable", "info": {}}',
        b'{"info": []}',
        b'{"refused"',
        b"\xff\xfe\x00",
        b"[" * 60_000,
        b'{"info": ' + b"9" * 10_000 + b"}",
        ProbeReply(INFO).to_json().encode() + b" " * MAX_MESSAGE_LENGTH,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_reply_is_refused(text: bytes):
    with pytest.raises(InvalidMessage):
        ProbeReply.from_json(text)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*json.loads(ProbeReply(INFO).to_json())["info"]]), JSON_VALUES)
def test_whatever_a_value_is_it_is_taken_as_it_is_or_refused(name: str, value: Any):
    try:
        outcome = ProbeReply.from_json(reply_with(**{name: value})).outcome
    except InvalidMessage:
        return
    assert isinstance(outcome, VideoInfo)
    expected = tuple(value) if isinstance(value, list) else value
    assert getattr(outcome, name) == (Fraction(value) if isinstance(value, str) and "/" in value else expected)


@given(st.binary(max_size=300) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_whatever_the_child_writes_is_a_reply_or_refused(text: bytes):
    try:
        ProbeReply.from_json(text)
    except InvalidMessage:
        return
    assert "refused" in json.loads(text)


@given(st.integers(-INT64_MAX, INT64_MAX), st.integers(0, INT64_MAX), st.floats(-1e9, 1e9), st.sampled_from(REASONS))
def test_the_header_of_a_picture_arrives_as_it_was_sent(
    first: int, count: int, time_s: float, unseen: UnseenReason | None
):
    header = PictureHeader(first, count, time_s, unseen)
    content = header.to_bytes()

    assert len(content) == PictureHeader.SIZE_BYTES
    assert PictureHeader.from_bytes(content) == header


@pytest.mark.parametrize("fields", [(0, -1, 0.0, 0), (0, 1, math.nan, 0), (0, 1, math.inf, 1), (0, 1, 0.0, 3)])
def test_the_header_of_an_impossible_picture_is_refused(fields: tuple[int, int, float, bool]):
    with pytest.raises(InvalidMessage):
        PictureHeader.from_bytes(struct.pack("<qqdB", *fields))


def test_the_counts_of_a_decoder_arrive_as_they_were_sent_and_are_never_negative():
    stats = DecodeStats(packets_read=300, packets_decoded=120, closed_gops=7, with_bars=9)

    assert len(stats.to_bytes()) == DecodeStats.SIZE_BYTES
    assert DecodeStats.from_bytes(stats.to_bytes()) == stats
    with pytest.raises(InvalidMessage):
        DecodeStats.from_bytes(struct.pack("<qqqq", 300, -1, 7, 9))


@given(st.lists(st.integers(0, INT64_MAX), unique=True, max_size=400).map(sorted))
def test_parts_of_a_file_arrive_as_they_were_sent(bounds: list[int]):
    ranges = tuple(ByteRange(start, stop) for start, stop in zip(bounds[::2], bounds[1::2], strict=False))
    assert RangesReply.from_json(RangesReply(ranges).to_json()) == RangesReply(ranges)


@pytest.mark.parametrize("text", ["{}", "[]", '{"ranges": 1}', '{"ranges": [[0, 5]]}', '{"ranges": [], "more": 1}'])
def test_what_are_no_parts_of_a_file_is_refused(text: str):
    with pytest.raises(InvalidMessage):
        RangesReply.from_json(text)


def test_each_supported_codec_is_named_as_libav_names_it_and_has_a_decoder_of_libav():
    assert [Codec(codec.decoder, "r").canonical_name for codec in CODECS.values()] == [*CODECS]
    assert {Codec(name, "r").type for name in DECODERS.split(",")} == {"video"}
    assert {"h264", "hevc", "vp9"} == GPU_CODECS
