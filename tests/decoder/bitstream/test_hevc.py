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


def test_a_packet_without_a_slice_shows_nothing():
    assert parsed(sps(1), PPS) == ReferenceInfo(is_output=False)
