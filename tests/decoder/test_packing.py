"""However the units of a picture lie in their packet, it is decoded."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from clips import H264, ClipStore, numbered_pictures
from decoding import assert_same, decode_all_packets, decode_needed_packets, order_for
from remux import copy_packets, join_units, split_units

SLICES = (1, 5)
IDR = 5
START_CODE = b"\x00\x00\x00\x01"


def behind_one_length(units: Sequence[bytes]) -> list[bytes]:
    """All units behind the length of the first, as the slow-motion files of some phones have them."""
    return [START_CODE.join(units)]


def with_prefix_units(units: Sequence[bytes]) -> list[bytes]:
    """Each slice behind the length of a prefix unit, ITU-T H.264, 7.3.2.12.1, which scalable streams have."""
    changed = []
    for unit in units:
        unit_type, importance = unit[0] & 31, unit[0] & 0x60
        prefix = bytes([importance | 14, 0xC0 if unit_type == IDR else 0x80, 0x80, 0x0F])
        changed.append(prefix + START_CODE + unit if unit_type in SLICES else unit)
    return changed


def behind_a_start_code(units: Sequence[bytes]) -> list[bytes]:
    """Each unit behind both a length and a start code."""
    return [START_CODE + unit for unit in units]


PACKINGS: list[Callable[[Sequence[bytes]], list[bytes]]] = [behind_one_length, with_prefix_units, behind_a_start_code]


@pytest.mark.parametrize("pack", PACKINGS)
def test_units_with_start_codes_behind_one_length_are_decoded_and_unneeded_ones_dropped(
    pack: Callable[[Sequence[bytes]], list[bytes]], clips: ClipStore, tmp_path: Path
):
    source = clips.encode("packed-plainly.mp4", f"{H264} -sc_threshold 0 -x264-params aud=1", numbered_pictures())
    path = copy_packets(source, tmp_path / "packed.mp4", lambda _, packet: join_units(pack(split_units(packet))))

    for start in (0, 3):
        order = order_for(path, Fraction(2), start)
        needed = decode_needed_packets(path, order)
        assert_same(needed, decode_all_packets(path, order))
        assert len(needed.shown) == order.stop - order.start - 1
        assert needed.packets_decoded < 0.8 * needed.packets_read
