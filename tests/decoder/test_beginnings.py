"""What only the beginning of a stream says is known to every decoder, wherever and beside how many others it begins."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from bit_writer import BitWriter
from clips import H264, RATE_FPS, Clip, ClipStore, ffmpeg, number_in, numbered_pictures
from decoder.bitstream import h264
from decoder.bitstream.bits import BitReader
from decoder.bitstream.nal import without_emulation_prevention
from decoder.bitstream.registry import parser_for
from decoding import Decoded, assert_same, decode_all_packets, decode_needed_packets, order_for
from encoded_packets import packets_of
from remux import copy_packets, insert_before, join_units, split_units

PULLDOWN = (5, 4, 6, 3)
"""Values of pic_struct, ITU-T H.264, table D-1, that show four pictures in five frames' time."""
SEI, SPS = 6, 7
PICTURE_TIMING = 1
VOP, USER_DATA = b"\x00\x00\x01\xb6", b"\x00\x00\x01\xb2"
QUANTISATION_TABLES, HUFFMAN_TABLES, START_OF_SCAN = 0xDB, 0xC4, 0xDA
NUM_WITHOUT_B = 200
"""Longer than libav looks at a transport stream when it opens it."""
MPEG4 = "-c:v mpeg4 -q 3 -g 15 -bf 2 -flags +qpel-global_header"


def pulled_down(source: Path, target: Path) -> Path:
    """A film whose progressive pictures are shown for three fields and two in turn."""

    def edit(number: int, packet: bytes) -> bytes:
        units = split_units(packet)
        for index, unit in enumerate(units):
            if unit[0] & 31 == SEI and unit[1] == PICTURE_TIMING:
                struct = PULLDOWN[number % 4]
                flags = 3 if struct in {5, 6} else 2
                timing = BitWriter().write(struct, 4).write(0, flags).write(1).to_bytes()
                units[index] = unit[:3] + timing[:1] + unit[4:]
        return join_units(units)

    return copy_packets(source, target, edit)


def film_with_pulldown(clips: ClipStore, target: Path) -> Path:
    plain = f"{H264} -sc_threshold 0 -x264-params pic-struct=1"
    return pulled_down(clips.encode("pic-struct.mp4", plain, numbered_pictures()), target / "film.mp4")


def fields_allowed(clips: ClipStore, target: Path) -> Path:
    coded = f"{H264} -sc_threshold 0 -x264-params fake-interlaced=1:pic-struct=1"
    return pulled_down(clips.encode("fake-interlaced.mp4", coded, numbered_pictures()), target / "fields.mp4")


def open_gops(clips: ClipStore, target: Path) -> Path:
    coded = f"{H264} -x264-params open-gop=1:pic-struct=1:scenecut=0"
    return pulled_down(clips.encode("open-pic-struct.mp4", coded, numbered_pictures()), target / "open.mp4")


def tables_sent_once(clips: ClipStore, target: Path) -> Path:
    """Abbreviated Motion JPEG, ISO/IEC 10918-1, 4.9."""

    def edit(number: int, packet: bytes) -> bytes:
        kept, at = packet[:2], 2
        while number and packet[at + 1] != START_OF_SCAN:
            stop = at + 2 + int.from_bytes(packet[at + 2 : at + 4], "big")
            if packet[at + 1] not in {QUANTISATION_TABLES, HUFFMAN_TABLES}:
                kept += packet[at:stop]
            at = stop
        return kept + packet[at:]

    plain = "-c:v mjpeg -q 5 -huffman default -pix_fmt yuvj420p"
    return copy_packets(clips.encode("tables.mov", plain, numbered_pictures()), target / "once.mov", edit)


def marked(mark: bytes) -> Callable[[ClipStore, Path], Path]:
    """An encoder's mark in the first picture alone."""

    def make(_clips: ClipStore, target: Path) -> Path:
        def edit(number: int, packet: bytes) -> bytes:
            return packet if number else insert_before(packet, VOP, USER_DATA + mark)

        source = target / "unmarked.mkv"
        ffmpeg("-f", "lavfi", "-i", "testsrc2=size=256x128:rate=25:duration=3", *MPEG4.split(), source)
        return copy_packets(source, target / "marked.mkv", edit)

    return make


CLIPS: dict[str, Callable[[ClipStore, Path], Path]] = {
    "pulldown": film_with_pulldown,
    "pulldown, fields allowed": fields_allowed,
    "pulldown, open groups": open_gops,
    "tables sent once": tables_sent_once,
    "a mark of DivX": marked(b"DivX501b413"),
    "a mark of Xvid": marked(b"XviD0012"),
}


@pytest.mark.parametrize("clip", CLIPS)
def test_pictures_do_not_depend_on_where_decoding_begins_or_on_the_number_of_threads(
    clip: str, clips: ClipStore, tmp_path: Path
):
    path = CLIPS[clip](clips, tmp_path)
    for fps, start in ((Fraction(2), 0), (Fraction(25), 0), (Fraction(25), 41), (Fraction(25), 62)):
        order = order_for(path, fps, start)
        in_sequence = decode_all_packets(path, replace(order, threads=1))
        assert in_sequence.shown
        for threads in (1, 2, 16):
            assert_same(decode_needed_packets(path, replace(order, threads=threads)), in_sequence)


def test_only_pic_struct_without_adaptive_frames_is_remembered(clips: ClipStore):
    hrd = "nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900"
    options = {
        "plain": (H264, False),
        "buffers": (f"{H264} -x264-params {hrd}", False),
        "pic_struct": (f"{H264} -x264-params pic-struct=1", True),
        "buffers and pic_struct": (
            f"{H264} -vf setsar=7/5 -colorspace bt709 -x264-params {hrd}:pic-struct=1:overscan=show:chromaloc=1", True,
        ),
        "adaptive frames": (f"{H264} -flags +ildct+ilme", False),
        "fields allowed": (f"{H264} -x264-params fake-interlaced=1:pic-struct=1", True),
    }  # fmt: skip
    for name, (flags, remembers) in options.items():
        path = clips.encode(f"{name.replace(' ', '-')}.ts", flags, numbered_pictures(3))
        assert parser_for("h264", b"", packets_of(path)[0]).remembers == remembers, name


def without_vui(packet: bytes) -> bytes:
    """A packet, with start codes, whose sequence parameter set does not tell how many pictures are reordered."""
    units = packet.split(b"\x00\x00\x01")
    for index, unit in enumerate(units):
        if unit and unit[0] & 31 == SPS:
            content = without_emulation_prevention(unit[1:].rstrip(b"\x00"))
            bits = BitReader(content)
            assert h264.H264()._frame_mbs_only(bits)
            bits.read(1)  # direct_8x8_inference_flag
            if bits.read(1):  # frame_cropping_flag
                bits.unsigned(), bits.unsigned(), bits.unsigned(), bits.unsigned()
            length = 8 * len(content) - bits._left
            kept = BitWriter().write(int.from_bytes(content, "big") >> bits._left, length)
            units[index] = unit[:1] + kept.write(0).write(1).to_bytes() + b"\x00"
    return b"\x00\x00\x01".join(units)


def test_pictures_that_are_reordered_only_later_are_all_shown_in_time(clips: ClipStore, tmp_path: Path):
    """As cameras and hardware encoders have them: nothing tells at the beginning that B pictures will come."""
    coded = f"{H264} -x264-params bframes=3:b-pyramid=normal:scenecut=0:keyint=1000"
    pictures = numbered_pictures(250)
    without_b = clips.encode(
        "without-b.ts", f"{coded}:b-adapt=1:b-bias=-100 -output_ts_offset 1", pictures[:NUM_WITHOUT_B]
    )
    with_b_s = 1 + NUM_WITHOUT_B / RATE_FPS + 1
    with_b = clips.encode("with-b.ts", f"{coded}:b-adapt=0 -output_ts_offset {with_b_s}", pictures[NUM_WITHOUT_B:])
    joined = clips.write("late-b.ts", without_b.read_bytes() + with_b.read_bytes())
    path = copy_packets(joined, tmp_path / "late-b.ts", lambda _, packet: without_vui(packet))

    times_s = [Fraction(number, RATE_FPS) + (number >= NUM_WITHOUT_B) for number in range(250)]
    clip = Clip(path, times_s)
    for fps, start in ((Fraction(25), 0), (Fraction(25, 2), 0), (Fraction(25), NUM_WITHOUT_B + 40)):
        for threads in (1, 2, 16):
            order = replace(order_for(path, fps, start), threads=threads)
            shown = numbers(decode_needed_packets(path, order))
            assert shown == [clip.number_at(float(index / fps)) for index in range(start, start + len(shown))]
            assert shown[-1] == 249


def numbers(decoded: Decoded) -> list[int]:
    """The picture at each instant."""
    return [
        number_in(picture)
        for (first, stop, _), picture in zip(decoded.shown, decoded.pixels, strict=True)
        for _ in range(first, stop)
    ]
