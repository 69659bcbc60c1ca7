"""Which frames of an AV1 stream are needed: by slots, and in doubt all."""

from collections.abc import Sequence
from typing import Any

import pytest

from bit_writer import BitWriter
from clips import AV1, ClipStore, numbered_pictures
from decoder.bitstream.av1 import (
    FRAME,
    FRAME_HEADER,
    INTER_FRAME,
    INTRA_ONLY_FRAME,
    KEY_FRAME,
    PADDING,
    REDUNDANT_FRAME_HEADER,
    SEQUENCE_HEADER,
    SWITCH_FRAME,
    TILE_GROUP,
    Av1,
    SequenceHeader,
    UnsupportedSyntax,
    parse_sequence_header,
    split_obus,
)
from decoder.bitstream.base import ALL_SLOTS, ReferenceInfo
from decoder.bitstream.bits import BitReader
from encoded_packets import packets_of

ALL_NEEDED = ReferenceInfo()
METADATA = 5
TIMED = "-bsf:v av1_metadata=tick_rate=25:num_ticks_per_picture=1"
ENCODERS = {
    "SVT-AV1": f"-threads 1 {AV1}",
    "SVT-AV1 with timing info": f"-threads 1 {AV1} {TIMED}",
    "rav1e": "-threads 1 -c:v librav1e -speed 10 -g 15 -pix_fmt yuv420p",
    "libaom": "-threads 1 -c:v libaom-av1 -cpu-used 8 -g 15 -lag-in-frames 16 -pix_fmt yuv420p",
}


def sequence_header(  # noqa: C901, PLR0912  # as many branches as the standard has
    *,
    still_picture: int = 0,
    ticks_per_picture: int | None = None,
    has_timing: bool = False,
    has_decoder_model: bool = False,
    display_delay: int | None = None,
    has_display_delays: bool = False,
    operating_points: int = 1,
    level: int = 4,
    has_frame_ids: bool = False,
    order_hint_bits: int = 7,
    screen_content_tools: int = 2,
    integer_mv: int = 2,
) -> bytes:
    """sequence_header_obu, 5.5.1, as far as order_hint_bits; the bits after it are all set."""
    bits = BitWriter().write(0, 3).write(still_picture).write(0).write(has_timing)
    if has_timing:
        bits.write(1, 32).write(25, 32).write(ticks_per_picture is not None)
        if ticks_per_picture is not None:
            bits.unsigned(ticks_per_picture - 1)
        bits.write(has_decoder_model)
        if has_decoder_model:
            bits.write(9, 5).write(1, 32).write(9, 5).write(9, 5)
    bits.write(has_display_delays).write(operating_points - 1, 5)
    for _ in range(operating_points):
        bits.write(0, 12).write(level, 5)
        if level > 7:
            bits.write(1)
        if has_display_delays:
            bits.write(display_delay is not None)
            if display_delay is not None:
                bits.write(display_delay, 4)
    bits.write(7, 4).write(6, 4).write(255, 8).write(127, 7)
    bits.write(has_frame_ids)
    if has_frame_ids:
        bits.write(1, 4).write(1, 3)
    bits.write(0, 7)
    bits.write(order_hint_bits > 0)
    if order_hint_bits:
        bits.write(0, 2)
    bits.write(screen_content_tools == 2)
    if screen_content_tools != 2:
        bits.write(screen_content_tools)
    if screen_content_tools:
        bits.write(integer_mv == 2)
        if integer_mv != 2:
            bits.write(integer_mv)
    if order_hint_bits:
        bits.write(order_hint_bits - 1, 3)
    return bits.write(255, 8).to_bytes()


def obu(obu_type: int, content: bytes) -> bytes:
    """An open bitstream unit of less than 128 bytes, 5.3."""
    return bytes([obu_type << 3 | 2, len(content)]) + content


def shown_again(slot: int) -> bytes:
    """The frame header of a frame that is shown from its slot."""
    return obu(FRAME_HEADER, BitWriter().write(1).write(slot, 3).write(15, 4).to_bytes())


def frame(
    frame_type: int,
    *,
    is_shown: bool = True,
    refresh_slots: int = 0,
    refs: Sequence[int] = (),
    has_short_signaling: bool = False,
    is_error_resilient: bool = False,
    has_tools: bool = False,
) -> bytes:
    """uncompressed_header, 5.9.2, of a stream with 7 bits of order hint that selects its tools by frame."""
    bits = BitWriter().write(0).write(frame_type, 2).write(is_shown)
    if not is_shown:
        bits.write(1)
    is_closed_rap = frame_type == KEY_FRAME and is_shown
    if not (is_closed_rap or frame_type == SWITCH_FRAME):
        bits.write(is_error_resilient)
    is_error_resilient = is_error_resilient or is_closed_rap or frame_type == SWITCH_FRAME
    bits.write(0).write(has_tools)
    if has_tools:
        bits.write(1)
    if frame_type != SWITCH_FRAME:
        bits.write(0)
    bits.write(85, 7)
    is_intra = frame_type in (KEY_FRAME, INTRA_ONLY_FRAME)
    if not (is_intra or is_error_resilient):
        bits.write(5, 3)
    if not (is_closed_rap or frame_type == SWITCH_FRAME):
        bits.write(refresh_slots, 8)
    if not is_intra and not is_error_resilient:
        bits.write(has_short_signaling)
    for slot in refs:
        bits.write(slot, 3)
    return obu(FRAME, bits.write(2**16 - 1, 16).to_bytes())


SEQUENCE = obu(SEQUENCE_HEADER, sequence_header())
SHOWN_KEYFRAME = SEQUENCE + frame(KEY_FRAME)
OPTIONAL: dict[str, dict[str, Any]] = {
    "timing info": {"has_timing": True},
    "timing info of a constant rate": {"has_timing": True, "ticks_per_picture": 1},
    "timing info of a constant rate of many ticks": {"has_timing": True, "ticks_per_picture": 1001},
    "a level with a tier": {"level": 9},
    "no display delay though there may be one": {"has_display_delays": True},
    "a display delay": {"has_display_delays": True, "display_delay": 9},
}
UNSUPPORTED: dict[str, dict[str, Any]] = {
    "still picture": {"still_picture": 1},
    "several operating points": {"operating_points": 2},
    "a decoder model": {"has_timing": True, "has_decoder_model": True},
    "frame id numbers": {"has_frame_ids": True},
}


@pytest.mark.parametrize("optional", OPTIONAL)
def test_optional_parts_of_a_sequence_header_are_skipped_to_the_bit(optional: str):
    plain = parse_sequence_header(BitReader(sequence_header()))

    assert plain == SequenceHeader(order_hint_bits=7, screen_content_tools=2, integer_mv=2)
    assert parse_sequence_header(BitReader(sequence_header(**OPTIONAL[optional]))) == plain


@pytest.mark.parametrize("order_hint_bits", [0, 1, 8])
@pytest.mark.parametrize(
    ("screen_content_tools", "integer_mv"), [(0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
)
def test_the_tools_of_a_sequence_header_are_read(order_hint_bits: int, screen_content_tools: int, integer_mv: int):
    header = SequenceHeader(order_hint_bits, screen_content_tools, integer_mv)
    written = sequence_header(
        order_hint_bits=order_hint_bits, screen_content_tools=screen_content_tools, integer_mv=integer_mv
    )

    assert parse_sequence_header(BitReader(written)) == header


@pytest.mark.parametrize("feature", UNSUPPORTED)
def test_after_a_sequence_header_with_an_unsupported_feature_all_is_needed(feature: str):
    header = sequence_header(**UNSUPPORTED[feature])
    parser = Av1()

    with pytest.raises(UnsupportedSyntax):
        parse_sequence_header(BitReader(header))
    assert parser.parse(obu(SEQUENCE_HEADER, header) + frame(KEY_FRAME)) == ALL_NEEDED
    assert parser.parse(frame(INTER_FRAME, refs=[0] * 7)) == ALL_NEEDED


def test_a_still_picture_of_an_encoder_is_needed(clips: ClipStore):
    options = "-c:v libaom-av1 -cpu-used 8 -still-picture 1 -frames:v 1 -pix_fmt yuv420p"
    (packet,) = packets_of(clips.encode("still.mp4", options, numbered_pictures(1)))

    assert Av1().parse(packet) == ALL_NEEDED


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoders_streams_are_understood_to_their_end(encoder: str, clips: ClipStore):
    packets = packets_of(
        clips.encode(f"encoder-{encoder.replace(' ', '-')}.mkv", ENCODERS[encoder], numbered_pictures(40))
    )
    parser = Av1()

    infos = [parser.parse(packet) for packet in packets]

    assert [info.is_closed_rap for info in infos].count(True) == 3
    assert any(info.refresh_slots == 0 for info in infos)
    assert ALL_NEEDED not in infos


def test_an_inter_frame_references_the_slots_that_it_lists_and_refreshes_those_of_its_mask():
    parser = Av1()
    parser.parse(SHOWN_KEYFRAME)

    for has_tools in (False, True):
        unit = frame(INTER_FRAME, refresh_slots=0b0100_0001, refs=[1, 3, 3, 5, 1, 1, 7], has_tools=has_tools)
        info = parser.parse(unit)
        assert (info.ref_slots, info.refresh_slots, info.is_output) == (0b1010_1010, 0b0100_0001, True)


@pytest.mark.parametrize("unlisted", [{"has_short_signaling": True}, {"is_error_resilient": True}])
def test_an_inter_frame_that_does_not_list_its_slots_references_all(unlisted: dict[str, Any]):
    parser = Av1()
    parser.parse(SHOWN_KEYFRAME)

    info = parser.parse(frame(INTER_FRAME, refresh_slots=0b10, **unlisted))

    assert (info.ref_slots, info.refresh_slots) == (ALL_SLOTS, 0b10)


def test_an_intra_only_frame_references_nothing_and_a_switch_frame_refreshes_all_slots():
    parser = Av1()
    parser.parse(SHOWN_KEYFRAME)

    intra_only = parser.parse(frame(INTRA_ONLY_FRAME, refresh_slots=0b1000))
    switch = parser.parse(frame(SWITCH_FRAME))

    assert intra_only.frames == (ReferenceInfo(ref_slots=0, refresh_slots=0b1000),)
    assert (switch.ref_slots, switch.refresh_slots, switch.is_closed_rap) == (ALL_SLOTS, ALL_SLOTS, False)


def test_a_shown_keyframe_with_a_sequence_header_is_a_closed_random_access_point():
    parser = Av1()

    assert parser.parse(SHOWN_KEYFRAME).is_closed_rap
    assert not parser.parse(frame(KEY_FRAME)).is_closed_rap
    assert not parser.parse(SEQUENCE + frame(KEY_FRAME, is_shown=False, refresh_slots=1)).is_closed_rap


def test_an_inter_frame_that_is_shown_again_changes_no_slot():
    parser = Av1()
    parser.parse(SHOWN_KEYFRAME)
    parser.parse(frame(INTER_FRAME, is_shown=False, refresh_slots=0b100, refs=[0] * 7))

    again = parser.parse(shown_again(2))

    assert (again.ref_slots, again.refresh_slots) == (0b100, 0)


def test_a_keyframe_that_is_shown_again_refreshes_all_slots():
    """The reference frame loading process, 7.21; frame_type KEY_FRAME sets refresh_frame_flags to allFrames, 5.9.2."""
    parser = Av1()
    parser.parse(SHOWN_KEYFRAME)
    parser.parse(frame(INTER_FRAME, refresh_slots=0b1111_1011, refs=[0] * 7))
    parser.parse(frame(KEY_FRAME, is_shown=False, refresh_slots=0b100))

    again = parser.parse(shown_again(2))
    after = parser.parse(shown_again(7))

    assert (again.ref_slots, again.refresh_slots) == (0b100, ALL_SLOTS)
    assert (after.ref_slots, after.refresh_slots) == (0b1000_0000, ALL_SLOTS)


def test_a_slot_that_was_never_filled_holds_no_keyframe():
    parser = Av1()

    assert parser.parse(SEQUENCE + shown_again(0)).refresh_slots == 0


def test_a_slot_that_an_inter_frame_has_overwritten_holds_no_keyframe_any_more():
    parser = Av1()
    parser.parse(SHOWN_KEYFRAME)
    parser.parse(frame(INTER_FRAME, refresh_slots=0b100, refs=[0] * 7))

    assert parser.parse(shown_again(2)).refresh_slots == 0
    assert parser.parse(shown_again(3)).refresh_slots == ALL_SLOTS


def test_a_temporal_unit_references_what_its_first_frames_do_not_refresh():
    parser = Av1()
    parser.parse(SHOWN_KEYFRAME)
    hidden = frame(INTER_FRAME, is_shown=False, refresh_slots=0b10, refs=[0] * 7)
    shown = frame(INTER_FRAME, refresh_slots=0b1000, refs=[1, 1, 2, 2, 2, 2, 2])

    info = parser.parse(hidden + shown)

    assert (info.ref_slots, info.refresh_slots) == (0b101, 0b1010)
    assert [part.is_output for part in info.frames] == [False, True]


def test_after_a_frame_header_that_is_cut_off_all_is_needed(clips: ClipStore):
    packets = packets_of(clips.encode("some-av1.mp4", AV1, numbered_pictures(20)))
    whole, torn = Av1(), Av1()

    infos = [whole.parse(packet) for packet in packets]
    infos_after_cut = [torn.parse(packet) for packet in [packets[0], packets[1][:5], *packets[2:]]]

    assert infos[0].is_closed_rap
    assert any(info.refresh_slots == 0 for info in infos)
    assert all(info == ALL_NEEDED for info in infos_after_cut[1:])


def test_after_a_sequence_header_that_changes_midway_all_is_needed():
    parser = Av1()
    parser.parse(SHOWN_KEYFRAME)
    other = obu(SEQUENCE_HEADER, sequence_header(order_hint_bits=6))

    assert parser.parse(SHOWN_KEYFRAME) != ALL_NEEDED
    assert parser.parse(other + frame(KEY_FRAME)) == ALL_NEEDED


def test_dropping_a_frame_turns_its_units_into_padding_and_moves_no_other(clips: ClipStore):
    packets = packets_of(clips.encode("layered-av1.mp4", "-c:v libsvtav1 -preset 8 -g 60", numbered_pictures(40)))
    parser = Av1()
    packet, frames = next((packet, info.frames) for packet in packets if len((info := parser.parse(packet)).frames) > 2)

    shortened = parser.drop_frames(packet, {1})

    before, after = (list(split_obus(content)) for content in (packet, shortened))
    changed = [(old.type, new.type) for old, new in zip(before, after, strict=True) if old != new]
    assert len(shortened) == len(packet)
    assert changed == [(FRAME, PADDING)]
    assert [unit.type for unit in after].count(FRAME) == [unit.type for unit in before].count(FRAME) - 1
    assert [part.is_output for part in frames] == [False] * (len(frames) - 1) + [True]
    assert parser.drop_frames(packet, set()) == packet


def test_all_units_of_a_dropped_frame_become_padding_and_no_others():
    header, tiles, again = (
        obu(FRAME_HEADER, b"\x30\x00\x00\x00"),
        obu(TILE_GROUP, b"x"),
        obu(REDUNDANT_FRAME_HEADER, b"y"),
    )
    metadata, whole = obu(METADATA, b"z"), frame(INTER_FRAME, refs=[0] * 7)
    packet = SEQUENCE + header + again + tiles + tiles + metadata + whole + tiles

    def types_without(dropped: set[int]) -> list[int]:
        return [unit.type for unit in split_obus(Av1().drop_frames(packet, dropped))]

    types = [SEQUENCE_HEADER, FRAME_HEADER, REDUNDANT_FRAME_HEADER, TILE_GROUP, TILE_GROUP, METADATA, FRAME, TILE_GROUP]
    assert types_without(set()) == types
    assert types_without({0}) == [SEQUENCE_HEADER, *[PADDING] * 4, METADATA, FRAME, TILE_GROUP]
    assert types_without({1}) == [*types[:6], PADDING, PADDING]
    assert types_without({0, 1}) == [SEQUENCE_HEADER, *[PADDING] * 4, METADATA, PADDING, PADDING]
    assert [unit.content for unit in split_obus(Av1().drop_frames(packet, {0}))] == [
        unit.content for unit in split_obus(packet)
    ]


def test_a_size_of_more_than_eight_bytes_is_refused():
    """4.10.5; without the limit a long run of such bytes would take quadratic time."""
    with pytest.raises(EOFError):
        list(split_obus(bytes([FRAME << 3 | 2]) + b"\x80" * 8 + b"\x00"))
    assert [unit.content for unit in split_obus(bytes([FRAME << 3 | 2]) + b"\x81" + b"\x80" * 6 + b"\x00x")] == [b"x"]


def test_units_with_an_extension_and_of_long_sizes_are_split():
    extended = bytes([FRAME << 3 | 4 | 2, 0b0010_0000, 1]) + b"x"
    long = bytes([TILE_GROUP << 3 | 2, 0b1010_1100, 0b10]) + b"y" * 300

    units = list(split_obus(extended + long + extended))

    assert [(unit.at, unit.type, unit.content) for unit in units] == [
        (0, FRAME, b"x"),
        (4, TILE_GROUP, b"y" * 300),
        (307, FRAME, b"x"),
    ]


def test_a_unit_without_its_size_is_unsupported():
    with pytest.raises(UnsupportedSyntax):
        list(split_obus(bytes([FRAME << 3]) + b"x"))
