"""H.264 and HEVC: a picture is only as independent as its parameter sets are at hand."""

from collections.abc import Sequence

import pytest

from clips import H264 as H264_OPTIONS
from clips import HEVC as HEVC_OPTIONS
from clips import ClipStore, numbered_pictures
from decoder.bitstream.base import ReferenceInfo
from decoder.bitstream.h264 import H264
from decoder.bitstream.hevc import Hevc
from decoder.bitstream.nal import MAX_UNIT_BYTES, NalParser, nal_units
from encoded_packets import packets_of

START = b"\x00\x00\x01"
ALL_NEEDED = ReferenceInfo()


def without_units(packet: bytes, unit_types: Sequence[int], parser: type[NalParser]) -> bytes:
    """A packet, with start codes, without the units of some types."""
    units = [unit for unit in packet.split(START) if unit.strip(b"\x00")]
    return b"".join(START + unit for unit in units if parser.unit_type(unit) not in unit_types)


@pytest.mark.parametrize(
    ("name", "options", "parser"), [("two.ts", H264_OPTIONS, H264), ("two-hevc.ts", HEVC_OPTIONS, Hevc)]
)
def test_an_idr_picture_without_parameter_sets_in_its_packet_is_no_random_access_point(
    name: str, options: str, parser: type[NalParser], clips: ClipStore
):
    closed = options.replace("open-gop=1", "open-gop=0")
    packets = packets_of(clips.encode(name, f"{closed} -sc_threshold 0", numbered_pictures(40)))
    complete = parser()
    bare = parser()

    with_sets = [index for index, packet in enumerate(packets) if complete.parse(packet).is_closed_rap]
    bare_packets = [packets[0], *(without_units(packet, (parser.SPS, parser.PPS), parser) for packet in packets[1:])]
    without_sets = [index for index, packet in enumerate(bare_packets) if bare.parse(packet).is_closed_rap]

    assert len(with_sets) > 1
    assert without_sets == [0]


def test_after_a_parameter_set_that_changes_midway_all_is_needed(clips: ClipStore):
    packets = packets_of(clips.encode("some.ts", H264_OPTIONS, numbered_pictures(40)))
    others = packets_of(clips.encode("others.ts", f"{H264_OPTIONS} -qp 20 -x264-params cabac=0", numbered_pictures(40)))
    parser = H264()

    before_change = [parser.parse(packet) for packet in packets]
    after_change = [parser.parse(packet) for packet in [*others, *packets]]

    assert any(info.refresh_slots == 0 for info in before_change)
    assert set(after_change) == {ALL_NEEDED}


@pytest.mark.parametrize(
    ("packet", "length_bytes", "units"),
    [
        (b"\x00\x00\x01\x65\x88\x00\x00\x01\x41", 0, [b"\x65\x88", b"\x41"]),
        (b"\x00\x00\x00\x01\x65\x00\x00\x00\x01\x41", 0, [b"\x65\x00", b"\x41"]),
        (b"\x00\x00\x01\x00\x00\x01\x65", 0, [b"\x65"]),
        (b"\x65\x88", 0, []),
        (b"\x00\x02\x65\x88\x00\x01\x41", 2, [b"\x65\x88", b"\x41"]),
        (b"\x00\x00\x00\x01\x65", 2, [b"\x65"]),
        (b"\x00\x09\x65", 2, [b"\x65"]),
        (b"\x00\x0a\x67\x42\x00\x00\x01\x68\x00\x00\x01\x65\x00\x01\x41", 2, [b"\x67\x42", b"\x68", b"\x65", b"\x41"]),
        (b"\x00\x05\x00\x00\x01\x65\x88", 2, [b"\x65\x88"]),
        (b"\x08\x03" + bytes(2046) + b"\x01\x65", 2, [bytes(MAX_UNIT_BYTES), b"\x65"]),
        (b"\x00\x00\x01\x65" + bytes(9999), 0, [b"\x65" + bytes(MAX_UNIT_BYTES - 1)]),
    ],
    ids=[
        "start codes",
        "long start codes",
        "an empty unit",
        "no start code",
        "lengths",
        "a length of 0",
        "cut off",
        "start codes within a length",
        "a start code after a length",
        "a start code far within a length",
        "long",
    ],
)
def test_a_packet_is_split_into_its_units(packet: bytes, length_bytes: int, units: list[bytes]):
    assert list(nal_units(packet, length_bytes)) == units
