"""No picture is lost or shown at another time where a sequence ends, or where one of another size begins."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from clips import HEVC, RATE_FPS, Clip, ClipStore, number_in, numbered_pictures
from decoding import assert_same, decode_all_packets, decode_needed_packets, order_for
from remux import copy_packets, join_units, split_units

END_OF_SEQUENCE, CRA = b"\x48\x01", 21
FIRST = 40
ENCODERS = {
    "mpeg2video": "-c:v mpeg2video -q 3 -g 15 -bf 2",
    "mpeg1video": "-c:v mpeg1video -q 3 -g 15 -bf 2",
    "h264": "-c:v libx264 -preset veryfast -g 15 -bf 2 -pix_fmt yuv420p",
    "hevc": HEVC,
}


@pytest.mark.parametrize("encoder", ENCODERS)
def test_no_picture_is_lost_where_one_of_another_size_follows(encoder: str, clips: ClipStore):
    options, pictures = ENCODERS[encoder], numbered_pictures(80)
    small = f"-vf scale=128:64:flags=neighbor {options} -output_ts_offset 1"
    large = f"{options} -output_ts_offset {2 + FIRST / RATE_FPS}"
    parts = [
        clips.encode(f"{encoder}-small.ts", small, pictures[:FIRST]),
        clips.encode(f"{encoder}-large.ts", large, pictures[FIRST:]),
    ]
    path = clips.write(f"{encoder}-resized.ts", b"".join(part.read_bytes() for part in parts))
    times_s = [Fraction(number, RATE_FPS) + (number >= FIRST) for number in range(80)]

    for threads in (1, 2, 16):
        for start in (0, 50):
            order = replace(order_for(path, Fraction(RATE_FPS), start), threads=threads)
            decoded = decode_needed_packets(path, order)
            shown = [
                number_in(picture)
                for (first, stop, _), picture in zip(decoded.shown, decoded.pixels, strict=True)
                for _ in range(first, stop)
            ]
            clip = Clip(path, times_s)
            assert shown == [clip.number_at(index / RATE_FPS) for index in range(start, start + len(shown))]
            assert shown[-1] == 79


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_after_an_end_of_sequence_pictures_are_shown_as_a_decoder_shows_them(
    container: str, clips: ClipStore, tmp_path: Path
):
    """It throws away what it has not shown yet, and leaves out the leading pictures of the CRA picture that follows."""
    source = clips.encode("open-hevc.mp4", HEVC, numbered_pictures())
    packets: list[list[bytes]] = []

    def note(_number: int, packet: bytes) -> bytes:
        packets.append(split_units(packet))
        return packet

    copy_packets(source, tmp_path / "seen.mp4", note)
    begins = [any(unit[0] >> 1 & 63 == CRA for unit in units) for units in packets]
    assert sum(begins) > 2

    def edit(number: int, packet: bytes) -> bytes:
        is_last = number + 1 < len(begins) and begins[number + 1]
        return join_units([*split_units(packet), END_OF_SEQUENCE]) if is_last else packet

    path = copy_packets(source, tmp_path / f"ended.{container}", edit)

    for fps, start in ((Fraction(25), 0), (Fraction(2), 0), (Fraction(10, 3), 0), (Fraction(25), 60)):
        order = order_for(path, fps, start)
        expected = decode_all_packets(path, replace(order, threads=1))
        for threads in (1, 2, 16):
            assert_same(decode_needed_packets(path, replace(order, threads=threads)), expected)
