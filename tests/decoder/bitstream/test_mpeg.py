"""Which pictures of MPEG-1, MPEG-2 and MPEG-4 part 2 streams count as non-reference pictures."""

from collections.abc import Callable
from typing import Any

import pytest

from bit_writer import BitWriter
from clips import ClipStore, numbered_pictures
from decoder.bitstream.base import ReferenceInfo
from decoder.bitstream.mpeg import Mpeg2, Mpeg4Part2
from encoded_packets import packets_of

ALL_NEEDED = ReferenceInfo()
LAYER_START = b"\x00\x00\x01\x20"
I_VOP, P_VOP, B_VOP = range(3)
MPEG4 = "-c:v mpeg4 -q 3 -g 15 -bf 2"
ENCODERS = {
    "square pixels": MPEG4,
    "an aspect ratio with a number of its own": f"{MPEG4} -vf setsar=12/11",
    "an extended aspect ratio": f"{MPEG4} -vf setsar=3/4",
    "Xvid": "-c:v libxvid -q 3 -g 15 -bf 2",
    "Xvid with an extended aspect ratio": "-c:v libxvid -q 3 -g 15 -bf 2 -vf setsar=3/4",
}
RECTANGLE, BINARY, BINARY_ONLY, GREYSCALE = range(4)


def vop(coding_type: int) -> bytes:
    return b"\x00\x00\x01\xb6" + bytes([coding_type << 6 | 0x15]) + b"\x55" * 16


def layer(
    *,
    is_interlaced: bool,
    identifier: int | None = None,
    extended_aspect: tuple[int, int] | None = None,
    write_control: Callable[[BitWriter], BitWriter] | None = None,
    shape: int = RECTANGLE,
    ticks_per_second: int = 25,
    fixed_period_bits: int | None = None,
) -> bytes:
    """A video object layer, ISO/IEC 14496-2, 6.2.3; the bits after `interlaced` are its opposite."""
    bits = BitWriter().write(0).write(1, 8).write(identifier is not None)
    if identifier is not None:
        bits.write(identifier, 4).write(1, 3)
    if extended_aspect:
        bits.write(15, 4).write(extended_aspect[0], 8).write(extended_aspect[1], 8)
    else:
        bits.write(1, 4)
    bits.write(write_control is not None)
    if write_control:
        write_control(bits)
    bits.write(shape, 2).write(1).write(ticks_per_second, 16).write(1).write(fixed_period_bits is not None)
    if fixed_period_bits is not None:
        bits.write(1, fixed_period_bits)
    bits.write(1).write(256, 13).write(1).write(128, 13).write(1).write(is_interlaced)
    for _ in range(160):
        bits.write(not is_interlaced)
    return LAYER_START + bits.to_bytes()


def control(bits: BitWriter) -> BitWriter:
    return bits.write(1, 2).write(0).write(0)


def control_with_vbv(bits: BitWriter) -> BitWriter:
    """vbv_parameters: rate, size and fullness of a buffer, in halves between marker bits."""
    bits.write(1, 2).write(0).write(1).write(0, 15).write(1).write(77, 15).write(1)
    return bits.write(0, 15).write(1).write(5, 3).write(0, 11).write(1).write(99, 15).write(1)


LAYERS: dict[str, dict[str, Any]] = {
    "nothing optional": {},
    "identifier": {"identifier": 2},
    "extended aspect ratio": {"extended_aspect": (3, 4)},
    "control parameters": {"write_control": control},
    "control parameters with a buffer": {"write_control": control_with_vbv},
    "fixed rate": {"fixed_period_bits": 5},
    "fixed rate of a single tick": {"ticks_per_second": 1, "fixed_period_bits": 1},
    "fixed rate of 32 ticks": {"ticks_per_second": 32, "fixed_period_bits": 5},
    "fixed rate of 33 ticks": {"ticks_per_second": 33, "fixed_period_bits": 6},
    "fixed rate of 65,535 ticks": {"ticks_per_second": 65_535, "fixed_period_bits": 16},
    "all": {
        "identifier": 4,
        "extended_aspect": (10, 11),
        "write_control": control_with_vbv,
        "ticks_per_second": 30_000,
        "fixed_period_bits": 15,
    },
}


@pytest.mark.parametrize("optional", LAYERS)
def test_b_vops_are_non_reference_pictures_unless_the_layer_is_interlaced(optional: str):
    def parsed(*, is_interlaced: bool) -> ReferenceInfo:
        return Mpeg4Part2(layer(is_interlaced=is_interlaced, **LAYERS[optional])).parse(vop(B_VOP))

    assert parsed(is_interlaced=False) == ReferenceInfo(refresh_slots=0)
    assert parsed(is_interlaced=True) == ALL_NEEDED


@pytest.mark.parametrize("coding_type", [I_VOP, P_VOP])
def test_other_vops_are_reference_pictures(coding_type: int):
    assert Mpeg4Part2(layer(is_interlaced=False)).parse(vop(coding_type)) == ALL_NEEDED


@pytest.mark.parametrize("shape", [BINARY, BINARY_ONLY, GREYSCALE])
def test_layers_of_a_shape_other_than_a_rectangle_may_be_interlaced(shape: int):
    assert Mpeg4Part2(layer(is_interlaced=False, shape=shape)).parse(vop(B_VOP)) == ALL_NEEDED


def test_a_layer_that_is_cut_off_may_be_interlaced():
    progressive = layer(is_interlaced=False)

    assert Mpeg4Part2(progressive[:12]).parse(vop(B_VOP)) == ALL_NEEDED
    assert Mpeg4Part2(b"").parse(vop(B_VOP)) == ALL_NEEDED


def test_a_layer_in_a_packet_replaces_the_one_of_the_extradata():
    parser = Mpeg4Part2(layer(is_interlaced=False))

    assert parser.parse(layer(is_interlaced=True) + vop(I_VOP)) == ALL_NEEDED
    assert parser.parse(vop(B_VOP)) == ALL_NEEDED


def test_a_vop_that_is_too_small_to_be_coded_may_show_nothing():
    parser = Mpeg4Part2(layer(is_interlaced=False))

    assert parser.parse(vop(B_VOP)[:15]) == ReferenceInfo(is_output=None)
    assert parser.parse(vop(B_VOP)[:16]) == ReferenceInfo(refresh_slots=0)


def test_a_vop_may_end_with_its_coding_type():
    parser = Mpeg4Part2(layer(is_interlaced=False))

    assert parser.parse(bytes(11) + vop(B_VOP)[:5]) == ReferenceInfo(refresh_slots=0)
    assert parser.parse(bytes(12) + vop(B_VOP)[:4]) == ALL_NEEDED


def told_by(encoder: str, flags: str, clips: ClipStore) -> set[ReferenceInfo]:
    """What the packets of an encoder's stream are said to be."""
    name = f"{encoder}{flags}.ts".replace(" ", "-").replace(":", "")
    path = clips.encode(name, f"-threads 1 {ENCODERS[encoder]}{flags}", numbered_pictures(40))
    parser = Mpeg4Part2()
    return {parser.parse(packet) for packet in packets_of(path)}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_b_vops_of_an_encoders_progressive_stream_are_non_reference_pictures(encoder: str, clips: ClipStore):
    assert told_by(encoder, "", clips) >= {ReferenceInfo(refresh_slots=0), ALL_NEEDED}


@pytest.mark.parametrize("encoder", [name for name in ENCODERS if "Xvid" not in name])
def test_the_pictures_of_an_encoders_interlaced_stream_are_all_needed(encoder: str, clips: ClipStore):
    """ffmpeg does not hand these flags on to Xvid."""
    assert told_by(encoder, " -flags +ildct+ilme", clips) == {ALL_NEEDED}


SEQUENCE, PICTURE = b"\x00\x00\x01\xb3\x16\x00\xf0", b"\x00\x00\x01\x00\x00"
EXTENSION = b"\x00\x00\x01\xb5"


@pytest.mark.parametrize(
    ("packet", "info"),
    [
        (SEQUENCE + PICTURE + bytes([1 << 3]), ReferenceInfo(is_open_rap=True)),
        (PICTURE + bytes([1 << 3]), ALL_NEEDED),
        (PICTURE + bytes([1 << 3]) + SEQUENCE, ALL_NEEDED),
        (SEQUENCE + PICTURE + bytes([2 << 3]), ALL_NEEDED),
        (PICTURE + bytes([3 << 3]), ReferenceInfo(refresh_slots=0)),
        (PICTURE + bytes([3 << 3]) + EXTENSION + bytes([3 << 4]), ALL_NEEDED),
        (PICTURE + bytes([3 << 3]) + EXTENSION + bytes([8 << 4]), ReferenceInfo(refresh_slots=0)),
        (PICTURE + bytes([3 << 3]) + EXTENSION + bytes([8 << 4]) + EXTENSION + bytes([3 << 4]), ALL_NEEDED),
        (PICTURE + bytes([3 << 3]) + EXTENSION, ReferenceInfo(refresh_slots=0)),
        (SEQUENCE + PICTURE + bytes([3 << 3]), ALL_NEEDED),
        (PICTURE, ALL_NEEDED),
        (b"", ALL_NEEDED),
    ],
)
def test_mpeg2_b_pictures_are_non_reference_and_an_i_picture_after_a_sequence_header_is_a_random_access_point(
    packet: bytes, info: ReferenceInfo
):
    assert Mpeg2().parse(packet) == info
