"""Which pictures of an HEVC stream count as non-reference pictures and random access points."""

import pytest

from decoder.bitstream.base import ReferenceInfo
from decoder.bitstream.hevc import Hevc

START = b"\x00\x00\x01"
PPS = b"\x44\x01\xc1"
TRAIL_N, TRAIL_R, RASL_N, IDR_W_RADL, IDR_N_LP, CRA = 0, 1, 8, 19, 20, 21
ALL_NEEDED = ReferenceInfo()


def sps(sub_layers: int) -> bytes:
    """The start of a sequence parameter set, ITU-T H.265, 7.3.2.2.1."""
    return b"\x42\x01" + bytes([(sub_layers - 1) << 1 | 1])


def slice_segment(unit_type: int, sub_layer: int = 0) -> bytes:
    return bytes([unit_type << 1, sub_layer + 1, 0x80])


def parsed(*contents: bytes) -> ReferenceInfo:
    return Hevc().parse(b"".join(START + content for content in contents))


@pytest.mark.parametrize(
    ("sub_layers", "unit_type", "sub_layer", "info"),
    [
        (1, TRAIL_N, 0, ReferenceInfo(refresh_slots=0)),
        (1, TRAIL_R, 0, ALL_NEEDED),
        (1, RASL_N, 0, ReferenceInfo(refresh_slots=0)),
        (1, IDR_W_RADL, 0, ReferenceInfo(is_closed_rap=True)),
        (1, IDR_N_LP, 0, ReferenceInfo(is_closed_rap=True)),
        (1, CRA, 0, ReferenceInfo(is_open_rap=True)),
        (3, TRAIL_N, 2, ReferenceInfo(refresh_slots=0)),
        (3, TRAIL_N, 1, ALL_NEEDED),
    ],
)
def test_the_type_and_the_sub_layer_of_a_slice_say_whether_a_picture_is_referenced(
    sub_layers: int, unit_type: int, sub_layer: int, info: ReferenceInfo
):
    assert parsed(sps(sub_layers), PPS, slice_segment(unit_type, sub_layer)) == info


def test_where_the_highest_sub_layer_is_not_known_all_is_needed():
    assert Hevc(b"\x01" * 30).parse(b"\x00\x00\x00\x02\x02\x01") == ALL_NEEDED
    assert parsed(b"\x42\x01", PPS, slice_segment(TRAIL_N)) == ALL_NEEDED


def test_a_packet_in_which_no_slice_is_found_may_show_a_picture():
    assert parsed(sps(1), PPS) == ReferenceInfo(is_output=None)


def configuration(length_bytes: int, *arrays: tuple[int, list[bytes]]) -> bytes:
    """A configuration record, ISO/IEC 14496-15, 8.3.3.1, with arrays of units by type."""
    record = bytes([1, *range(100, 120), 0b1111_1100 | length_bytes - 1, len(arrays)])
    for unit_type, units in arrays:
        record += bytes([0x80 | unit_type]) + len(units).to_bytes(2, "big")
        record += b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
    return record


@pytest.mark.parametrize("length_bytes", [1, 2, 4])
def test_the_parameter_sets_of_a_configuration_record_are_known_from_the_start(length_bytes: int):
    other_pps = b"\x44\x01\xc2"
    parser = Hevc(configuration(length_bytes, (33, [sps(1)]), (34, [PPS, other_pps])))

    def parse(*contents: bytes) -> ReferenceInfo:
        return parser.parse(b"".join(len(content).to_bytes(length_bytes, "big") + content for content in contents))

    assert parse(slice_segment(IDR_W_RADL)) == ReferenceInfo(is_closed_rap=True)
    assert parse(slice_segment(TRAIL_N)) == ReferenceInfo(refresh_slots=0)
    assert parse(sps(1), PPS, other_pps, slice_segment(TRAIL_N)) == ReferenceInfo(refresh_slots=0)
    assert parse(b"\x44\x01\xc3", slice_segment(TRAIL_N)) == ALL_NEEDED


def test_a_configuration_of_units_after_start_codes_is_read_too():
    parser = Hevc(START + sps(1) + START + PPS)

    assert parser.parse(START + slice_segment(TRAIL_N)) == ReferenceInfo(refresh_slots=0)


@pytest.mark.parametrize("unit_type", [9, 10, 14, 22, 23, 31])
def test_pictures_of_the_other_types_are_no_random_access_points_that_are_relied_on(unit_type: int):
    info = parsed(sps(1), PPS, slice_segment(unit_type))

    assert info == ReferenceInfo(refresh_slots=0 if unit_type in (10, 14) else 255)


@pytest.mark.parametrize("unit_type", [16, 17, 18])
def test_after_a_broken_link_leading_pictures_that_refer_to_what_was_before_are_not_shown(unit_type: int):
    parser = Hevc(START + sps(1) + START + PPS)

    assert parser.parse(START + slice_segment(unit_type)) == ReferenceInfo(is_closed_rap=True)
    assert parser.parse(START + slice_segment(9)) == ReferenceInfo(is_output=False, ref_slots=0, refresh_slots=0)
    assert parser.parse(START + slice_segment(CRA)).is_open_rap
    assert parser.parse(START + slice_segment(9)) == ReferenceInfo()


def test_a_slice_of_less_than_its_header_may_show_a_picture():
    assert parsed(sps(1), PPS, b"\x02") == ReferenceInfo(is_output=None)


def test_sets_with_different_numbers_of_sub_layers_leave_the_highest_one_unknown():
    parser = Hevc(configuration(4, (33, [sps(1), sps(2)]), (34, [PPS])))
    content = slice_segment(TRAIL_N)

    assert parser.parse(len(content).to_bytes(4, "big") + content) == ALL_NEEDED
