"""Which pictures of an H.264 stream count as non-reference pictures and random access points."""

from collections.abc import Callable

import pytest

from bit_writer import BitWriter
from clips import H264 as H264_OPTIONS
from clips import ClipStore, numbered_pictures
from decoder.bitstream.base import ReferenceInfo
from decoder.bitstream.h264 import H264, ReferenceCount
from encoded_packets import packets_of

START = b"\x00\x00\x01"
ALL_NEEDED = ReferenceInfo()
PPS, NON_REFERENCE_SLICE, REFERENCE_SLICE, IDR_SLICE = (
    b"\x68\xee\x38\x80",
    b"\x01\x9a\x21",
    b"\x41\x9a\x21",
    b"\x65\x88",
)
MAIN, HIGH, HIGH_444 = 77, 100, 244
ENCODERS = {
    "high profile": H264_OPTIONS,
    "4:4:4": H264_OPTIONS.replace("yuv420p", "yuv444p"),
    "scaling lists": f"{H264_OPTIONS} -x264-params cqm=jvt",
    "4:4:4 with scaling lists": f"{H264_OPTIONS.replace('yuv420p', 'yuv444p')} -x264-params cqm=jvt",
}


def escaped(content: bytes) -> bytes:
    """A unit's content with emulation prevention bytes, ITU-T H.264, 7.4.1."""
    escaped = bytearray()
    for byte in content:
        if byte <= 3 and escaped.endswith(b"\x00\x00"):
            escaped.append(3)
        escaped.append(byte)
    return bytes(escaped)


def units(*contents: bytes) -> bytes:
    """A packet of units after start codes."""
    return b"".join(START + content for content in contents)


def sps(
    write_order_count: Callable[[BitWriter], BitWriter],
    write_format: Callable[[BitWriter], BitWriter] | None = None,
    *,
    profile_idc: int = MAIN,
    frame_mbs_only: bool,
    is_cut_off: bool = False,
    may_skip: bool = False,
) -> bytes:
    """A sequence parameter set, 7.3.2.1.1; the bits after frame_mbs_only_flag are its opposite, or missing."""
    bits = BitWriter().write(profile_idc, 8).write(0, 8).write(30, 8).unsigned(0)
    if write_format:
        write_format(bits)
    write_order_count(bits.unsigned(4)).unsigned(4).write(may_skip).unsigned(15).unsigned(7)
    if is_cut_off:
        return b"\x67" + escaped(bits.to_bytes()[:-1])
    bits.write(frame_mbs_only)
    for _ in range(64):
        bits.write(not frame_mbs_only)
    return b"\x67" + escaped(bits.to_bytes())


def order_count_type_0(bits: BitWriter) -> BitWriter:
    return bits.unsigned(0).unsigned(6)


def order_count_type_1(bits: BitWriter) -> BitWriter:
    bits.unsigned(1).write(0).signed(-3).signed(5).unsigned(3)
    return bits.signed(2).signed(-70).signed(1)


def order_count_type_2(bits: BitWriter) -> BitWriter:
    return bits.unsigned(2)


def chroma_420(bits: BitWriter) -> BitWriter:
    return bits.unsigned(1).unsigned(0).unsigned(0).write(0).write(0)


def chroma_444(bits: BitWriter) -> BitWriter:
    return bits.unsigned(3).write(0).unsigned(2).unsigned(2).write(1).write(0)


def scaling_list(bits: BitWriter, deltas: list[int]) -> BitWriter:
    bits.write(1)
    for delta in deltas:
        bits.signed(delta)
    return bits


def eight_scaling_lists(bits: BitWriter) -> BitWriter:
    """4x4 lists: a whole one, one absent, and some that end early; a whole 8x8 list and one that ends early."""
    bits.unsigned(1).unsigned(0).unsigned(0).write(0).write(1)
    scaling_list(bits, [2, -3, 120, 120, -9, *[1] * 11])
    scaling_list(bits, [4, -12])  # 8 + 4 - 12 is 0: the entries after it repeat the last one
    bits.write(0)
    scaling_list(bits, [-8])
    scaling_list(bits, [120, 127, 1])  # 256 counts as 0
    bits.write(0)
    scaling_list(bits, [-1] * 6 + [1] * 58)
    return scaling_list(bits, [1, 1, 1, -11])


def twelve_scaling_lists(bits: BitWriter) -> BitWriter:
    """As many as 4:4:4 has; the last one is an 8x8 list."""
    bits.unsigned(3).write(1).unsigned(0).unsigned(0).write(0).write(1)
    for _ in range(5):
        bits.write(0)
    scaling_list(bits, [3] * 8 + [-3] * 8)
    for _ in range(5):
        bits.write(0)
    return scaling_list(bits, [1] * 64)


HEADERS = {
    "order count type 0": (order_count_type_0, None, MAIN),
    "order count type 1": (order_count_type_1, None, MAIN),
    "order count type 2": (order_count_type_2, None, MAIN),
    "4:2:0": (order_count_type_0, chroma_420, HIGH),
    "4:4:4": (order_count_type_0, chroma_444, HIGH_444),
    "8 scaling lists": (order_count_type_0, eight_scaling_lists, HIGH),
    "12 scaling lists": (order_count_type_0, twelve_scaling_lists, HIGH_444),
    "12 scaling lists, order count type 1": (order_count_type_1, twelve_scaling_lists, HIGH_444),
}


@pytest.mark.parametrize("header", HEADERS)
def test_non_reference_pictures_are_trusted_only_where_the_sps_rules_out_fields(header: str):
    write_order_count, write_format, profile_idc = HEADERS[header]

    def parsed(*, frame_mbs_only: bool) -> ReferenceInfo:
        unit = sps(write_order_count, write_format, profile_idc=profile_idc, frame_mbs_only=frame_mbs_only)
        return H264().parse(units(unit, PPS, NON_REFERENCE_SLICE))

    assert parsed(frame_mbs_only=True) == ReferenceInfo(refresh_slots=0)
    assert parsed(frame_mbs_only=False) == ALL_NEEDED


@pytest.mark.parametrize("header", HEADERS)
def test_an_sps_that_is_cut_off_may_allow_fields(header: str):
    write_order_count, write_format, profile_idc = HEADERS[header]
    cut_off = sps(write_order_count, write_format, profile_idc=profile_idc, frame_mbs_only=True, is_cut_off=True)

    assert H264().parse(units(cut_off, PPS, NON_REFERENCE_SLICE)) == ALL_NEEDED


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoders_progressive_stream_has_non_reference_pictures_and_an_interlaced_one_does_not(
    encoder: str, clips: ClipStore
):
    def told(name: str, flags: str) -> set[ReferenceInfo]:
        path = clips.encode(f"{name}-{encoder}.ts", ENCODERS[encoder] + flags, numbered_pictures(40))
        parser = H264()
        return {parser.parse(packet) for packet in packets_of(path)}

    assert told("progressive", "") > {ReferenceInfo(refresh_slots=0)}
    assert told("interlaced", " -flags +ildct+ilme") == {ALL_NEEDED}


FRAMES_ONLY = sps(order_count_type_0, frame_mbs_only=True)


def recovery_point(frame_count: int, *, is_exact: bool) -> bytes:
    """The payload of a recovery point message, D.1.8, with its type and size."""
    bits = BitWriter().unsigned(frame_count).write(is_exact).write(0).write(0, 2)
    return b"\x06\x01" + bits.to_bytes()[:1]


@pytest.mark.parametrize(
    ("messages", "exact_after"),
    [
        (recovery_point(0, is_exact=True), 0),
        (recovery_point(0, is_exact=False), None),
        (recovery_point(3, is_exact=True), 3),
        (b"\x01\x02\x55\x55" + recovery_point(0, is_exact=True), 0),
        (b"\x01\x02\x55" + recovery_point(0, is_exact=True), None),
        (b"\xff\x05\x01\x55" + recovery_point(0, is_exact=True), None),
        (b"", None),
        (recovery_point(0, is_exact=True)[:2], None),
    ],
)
def test_a_picture_from_which_all_is_exact_at_once_is_an_open_random_access_point(
    messages: bytes, exact_after: int | None
):
    sei = b"\x06" + messages + b"\x80"

    info = H264().parse(units(FRAMES_ONLY, PPS, sei, REFERENCE_SLICE))

    assert info == ReferenceInfo(is_open_rap=exact_after == 0, exact_after=exact_after)


def test_an_sei_message_may_be_cut_off():
    assert H264().parse(units(FRAMES_ONLY, PPS, b"\x06", REFERENCE_SLICE)) == ReferenceInfo()


@pytest.mark.parametrize("nal_ref_idc", [1, 2, 3])
def test_a_picture_with_any_other_nal_ref_idc_than_0_is_a_reference_picture(nal_ref_idc: int):
    slice_unit = bytes([nal_ref_idc << 5 | 1]) + NON_REFERENCE_SLICE[1:]

    assert H264().parse(units(FRAMES_ONLY, PPS, slice_unit)) == ALL_NEEDED


def test_an_idr_picture_is_a_closed_random_access_point():
    assert H264().parse(units(FRAMES_ONLY, PPS, IDR_SLICE)) == ReferenceInfo(is_closed_rap=True)


def test_a_packet_in_which_no_slice_is_found_may_show_a_picture():
    assert H264().parse(units(FRAMES_ONLY, PPS)) == ReferenceInfo(is_output=None)


def test_an_empty_unit_is_passed_over():
    assert H264().parse(units(FRAMES_ONLY, PPS, b"", IDR_SLICE)) == ReferenceInfo(is_closed_rap=True)


def test_headers_that_cannot_be_read_mean_that_all_is_needed():
    torn = units(b"\x67\x64", b"\x68\xee", b"\x01\x9a")

    assert H264().parse(torn) == ALL_NEEDED
    assert H264(b"\x01\x64").parse(units(b"\x01\x9a")) == ALL_NEEDED


def with_lengths(length_bytes: int, *contents: bytes) -> bytes:
    """A packet of units after their lengths."""
    return b"".join(len(content).to_bytes(length_bytes, "big") + content for content in contents)


def configuration(length_bytes: int, sps_units: list[bytes], pps_units: list[bytes]) -> bytes:
    """A configuration record, ISO/IEC 14496-15, 5.3.3.1; its reserved bits are set."""
    record = bytes([1, MAIN, 0, 30, 0b1111_1100 | length_bytes - 1, 0b1110_0000 | len(sps_units)])
    return record + with_lengths(2, *sps_units) + bytes([len(pps_units)]) + with_lengths(2, *pps_units)


@pytest.mark.parametrize("length_bytes", [1, 2, 4])
def test_the_parameter_sets_of_a_configuration_record_are_known_from_the_start(length_bytes: int):
    other_pps = b"\x68\xef\x38\x80"
    parser = H264(configuration(length_bytes, [FRAMES_ONLY], [PPS, other_pps]))

    idr = parser.parse(with_lengths(length_bytes, IDR_SLICE))
    non_reference = parser.parse(with_lengths(length_bytes, NON_REFERENCE_SLICE))
    sent_again = parser.parse(with_lengths(length_bytes, FRAMES_ONLY, PPS, other_pps, IDR_SLICE))

    assert idr == sent_again == ReferenceInfo(is_closed_rap=True)
    assert non_reference == ReferenceInfo(refresh_slots=0)


def test_every_sps_of_a_configuration_record_is_looked_at_for_fields():
    with_fields = sps(order_count_type_0, frame_mbs_only=False)

    for sps_units in ([FRAMES_ONLY, with_fields], [with_fields, FRAMES_ONLY]):
        parser = H264(configuration(4, sps_units, [PPS]))
        assert parser.parse(with_lengths(4, NON_REFERENCE_SLICE)) == ALL_NEEDED


def test_a_configuration_record_without_a_pps_or_cut_off_before_it_has_the_sps():
    whole = configuration(4, [FRAMES_ONLY], [])

    for record in (whole, whole[:-1]):
        assert H264(record).parse(with_lengths(4, NON_REFERENCE_SLICE)) == ReferenceInfo(refresh_slots=0)
    one_pps_too_many = with_lengths(4, b"\x68\xee\x38\x80", NON_REFERENCE_SLICE)
    assert H264(whole).parse(one_pps_too_many) == ALL_NEEDED


def test_a_configuration_of_units_after_start_codes_is_read_too():
    parser = H264(units(FRAMES_ONLY, PPS))

    assert parser.parse(units(IDR_SLICE)) == ReferenceInfo(is_closed_rap=True)
    assert parser.parse(units(FRAMES_ONLY, PPS, NON_REFERENCE_SLICE)) == ReferenceInfo(refresh_slots=0)


def field(frame_num: int, parity: int, *, is_idr: bool = False) -> bytes:
    """A slice of a field, 7.3.3: first_mb_in_slice, slice_type, pic_parameter_set_id, then its place."""
    bits = BitWriter().unsigned(0).unsigned(7).unsigned(0).write(frame_num, 8).write(1).write(parity).write(0, 30)
    return bytes([0x65 if is_idr else 0x61]) + escaped(bits.to_bytes())


def frame(frame_num: int) -> bytes:
    """A slice of a frame."""
    bits = BitWriter().unsigned(0).unsigned(7).unsigned(0).write(frame_num, 8).write(0).write(0, 30)
    return b"\x61" + escaped(bits.to_bytes())


@pytest.mark.parametrize(
    ("slices", "are_second"),
    [
        ([field(0, 0, is_idr=True), field(0, 1), field(1, 0), field(1, 1)], [False, True, False, True]),
        ([field(3, 1), field(3, 0), field(3, 1), field(3, 0)], [False, True, False, True]),
        ([field(1, 0), field(1, 0), field(1, 1)], [False, False, True]),
        ([field(1, 0), field(2, 1), field(2, 0)], [False, False, True]),
        ([frame(1), field(1, 1), field(1, 0)], [False, False, True]),
        ([field(1, 0), frame(1), field(1, 1)], [False, False, False]),
        ([field(1, 0), field(1, 1)[:3]], [False, False]),
    ],
)
def test_a_field_of_the_other_parity_with_the_same_number_completes_a_picture(
    slices: list[bytes], are_second: list[bool]
):
    parser = H264(units(sps(order_count_type_0, frame_mbs_only=False), PPS))

    assert [parser.parse(units(content)).is_second_field for content in slices] == are_second
    assert parser.may_have_fields
    assert not H264(units(FRAMES_ONLY, PPS)).may_have_fields


def numbered(*numbers: tuple[bytes, int], may_skip: bool = False) -> list[bool]:
    """Whether numbers are missing before each of some pictures, given by the header of their slice and frame_num."""
    parameter_sets = units(sps(order_count_type_0, frame_mbs_only=True, may_skip=may_skip), PPS)
    count = ReferenceCount(b"")
    slices = [
        header[:1] + BitWriter().unsigned(0).unsigned(0).unsigned(0).write(number, 8).write(85, 8).to_bytes()
        for header, number in numbers
    ]
    return [count.jumps_before(parameter_sets + units(one)) for one in slices]


def test_reference_pictures_are_missing_where_their_numbers_do_not_follow_each_other():
    reference, other, idr = REFERENCE_SLICE, NON_REFERENCE_SLICE, IDR_SLICE

    assert numbered((idr, 0), (reference, 1), (other, 2), (other, 2), (reference, 2), (other, 3)) == [False] * 6
    assert numbered((reference, 254), (reference, 255), (reference, 0)) == [False] * 3
    assert numbered((idr, 0), (reference, 2), (reference, 3)) == [False, True, False]
    assert numbered((idr, 0), (other, 2), (reference, 2), (reference, 3)) == [False, True, False, False]
    assert numbered((reference, 7), (idr, 0), (reference, 1)) == [False] * 3


def test_an_sps_may_allow_that_numbers_are_left_out():
    assert numbered((IDR_SLICE, 0), (REFERENCE_SLICE, 2), may_skip=True) == [False] * 2


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_encoders_numbers_follow_each_other_until_a_reference_picture_is_taken_out(encoder: str, clips: ClipStore):
    path = clips.encode(f"counted-{encoder}.ts", f"{ENCODERS[encoder]} -b_strategy 0", numbered_pictures(40))
    packets, parser, whole, cut = packets_of(path), H264(), ReferenceCount(b""), ReferenceCount(b"")
    references = [number for number, packet in enumerate(packets) if parser.parse(packet).refresh_slots]

    assert not any(map(whole.jumps_before, packets))
    assert any(map(cut.jumps_before, packets[: references[5]] + packets[references[5] + 1 :]))
