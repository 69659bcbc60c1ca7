"""Packets are needed not only for pictures that are referenced, but also for what they say about all later ones."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from bit_writer import BitWriter
from clips import ClipStore, numbered_pictures
from decoding import assert_same, decode_all_packets, decode_needed_packets, order_for
from remux import copy_packets, insert_before

ORDERS = ((Fraction(2), 0), (Fraction(1, 2), 1), (Fraction(2), 3), (Fraction(25, 3), 11), (Fraction(25), 60))
PICTURE, FIRST_SLICE, EXTENSION = b"\x00\x00\x01\x00", b"\x00\x00\x01\x01", b"\x00\x00\x01\xb5"
QUANT_MATRIX, B_PICTURE = 3, 3


def assert_needed_are_decoded(path: Path) -> None:
    for fps, start in ORDERS:
        order = order_for(path, fps, start)
        expected = decode_all_packets(path, replace(order, threads=1))
        assert expected.shown
        for threads in (1, 2):
            assert_same(decode_needed_packets(path, replace(order, threads=threads)), expected)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_the_sequence_header_of_av1_is_needed_where_only_intra_frames_begin_its_groups(
    container: str, clips: ClipStore
):
    options = "-c:v libsvtav1 -svtav1-params lp=1:irefresh-type=1 -preset 8 -g 24 -pix_fmt yuv420p"
    path = clips.encode(f"intra-only.{container}", options, numbered_pictures())

    assert_needed_are_decoded(path)

    few = replace(order_for(path, Fraction(1)), start=2)
    assert decode_needed_packets(path, few).packets_decoded < 25


def with_matrices_in_b_pictures(number: int, packet: bytes) -> bytes:
    """Other quantiser matrices, ISO/IEC 13818-2, 6.2.3.2, in every B picture of an odd number."""
    if packet[packet.index(PICTURE) + 5] >> 3 & 7 != B_PICTURE or number % 2 == 0:
        return packet
    bits = BitWriter().write(QUANT_MATRIX, 4)
    for _ in ("intra", "non-intra"):
        bits.write(1)
        for index in range(64):
            bits.write(8 if index == 0 else 40 + number % 7, 8)
    return insert_before(packet, FIRST_SLICE, EXTENSION + bits.write(0, 2).to_bytes())


@pytest.mark.parametrize("container", ["ts", "mkv"])
def test_b_pictures_that_bring_quantiser_matrices_are_needed(container: str, clips: ClipStore, tmp_path: Path):
    options = "-c:v mpeg2video -q 4 -g 25 -bf 2 -flags +cgop -sc_threshold 1000000000"
    plain = clips.encode("plain-matrices.ts", options, numbered_pictures())

    assert_needed_are_decoded(copy_packets(plain, tmp_path / f"matrices.{container}", with_matrices_in_b_pictures))
