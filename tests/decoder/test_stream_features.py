"""Features of streams that were read exactly once stay so: only needed packets are decoded, and no pixel changes."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from clips import H264, HEVC, MPEG2, RATE_FPS, X265_THREADS, ClipStore, number_in, numbered_pictures
from decoder.bitstream.bits import BitReader
from decoder.bitstream.nal import without_emulation_prevention
from decoding import assert_same, decode_all_packets, decode_needed_packets, order_for
from encoded_packets import packets_of
from remux import copy_packets, join_units, split_units

ORDERS = ((Fraction(25), 0), (Fraction(2), 0), (Fraction(25, 3), 11), (Fraction(25), 60))
X265 = f"-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params log-level=error:{X265_THREADS}:scenecut=0"
SVT_AV1 = "-c:v libsvtav1 -preset 8 -pix_fmt yuv420p -svtav1-params lp=1"
VP9_LAYERS = (
    "ts_number_layers=3:ts_target_bitrate=600,1200,2000:ts_rate_decimator=4,2,1:ts_periodicity=4:ts_layer_id=0,2,1,2:"
    "ts_layering_mode=3"
)
TEMPORAL_LAYERS = "hevc-temporal-layers.mp4"
ENCODED = {
    "hevc-radl.mp4": f"{X265}:keyint=30:min-keyint=30:bframes=4:open-gop=0:radl=3",
    "hevc-intra-refresh.mp4": f"{X265}:keyint=30:intra-refresh=1:bframes=2",
    "hevc-recovery-points.mp4": f"{X265}:keyint=30:bframes=4:idr-recovery-sei=1:open-gop=0",
    "hevc-fields.mp4": f"{X265}:keyint=30:interlace=tff:bframes=3:open-gop=0",
    TEMPORAL_LAYERS: f"{X265}:keyint=30:bframes=3:b-adapt=0:b-pyramid=1:temporal-layers=1",
    "hevc-444-12.mp4": f"{X265.replace('yuv420p', 'yuv444p12le')}:keyint=30:bframes=4",
    "h264-intra-refresh.mp4": f"{H264} -bf 0 -x264-params intra-refresh=1:keyint=25",
    "h264-recovery-points.ts": f"{H264} -x264-params open-gop=1:b-adapt=0:bframes=3:scenecut=0:ref=4",
    "vp9-temporal-layers.webm": (
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 2M -g 24 -lag-in-frames 0 -error-resilient 1 "
        f"-ts-parameters {VP9_LAYERS}"
    ),
    "av1-overlays.mp4": f"{SVT_AV1}:enable-overlays=1:keyint=24",
    "av1-film-grain.mkv": f"{SVT_AV1}:film-grain=20:keyint=24",
    "av1-super-resolution.mkv": f"{SVT_AV1}:superres-mode=1:superres-denom=13:keyint=24",
    "av1-resize.mkv": f"{SVT_AV1}:resize-mode=1:resize-denom=13:keyint=24",
    "av1-switch-frames.mkv": f"{SVT_AV1}:pred-struct=1:sframe-dist=16:sframe-mode=1:keyint=48",
    "av1-tile-groups.mkv": (
        "-c:v libaom-av1 -cpu-used 8 -pix_fmt yuv420p -crf 30 -b:v 0 -g 24 -s 512x256 -tiles 2x2 "
        "-aom-params num-tile-groups=4"
    ),
}
"""ffmpeg's options by file name."""
FIRST_BEYOND_SLICES, SUB_LAYER = 32, 1
SPS = 7
PICTURE_EXTENSION = b"\x00\x00\x01\xb5"
PICTURE_CODING = 8


def assert_exact(path: Path) -> None:
    for fps, start in ORDERS:
        order = order_for(path, fps, start)
        expected = decode_all_packets(path, replace(order, threads=1))
        assert expected.shown
        for threads in (1, 2, 16):
            decoded = decode_needed_packets(path, replace(order, threads=threads))
            assert_same(decoded, expected)
            assert decoded.damaged == 0


@pytest.mark.parametrize("name", ENCODED)
def test_what_an_encoder_may_do_changes_no_pixel(name: str, clips: ClipStore):
    assert_exact(clips.encode(name, ENCODED[name], numbered_pictures()))


def unit_type(unit: bytes) -> int:
    """nal_unit_type of HEVC."""
    return unit[0] >> 1 & 63


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
def test_a_second_layer_of_hevc_changes_no_pixel(container: str, clips: ClipStore, tmp_path: Path):
    """Slices of nuh_layer_id 1 follow those of the film, as in stereo or Dolby Vision of one track."""

    def edit(_number: int, packet: bytes) -> bytes:
        units = split_units(packet)
        slices = [unit for unit in units if unit_type(unit) < FIRST_BEYOND_SLICES]
        return join_units([*units, *(bytes([unit[0] & 0xFE, unit[1] & 7 | 1 << 3]) + unit[2:] for unit in slices)])

    source = clips.encode("open-hevc.mp4", HEVC, numbered_pictures())
    assert_exact(copy_packets(source, tmp_path / f"layers.{container}", edit))


def test_a_temporal_layer_that_a_server_left_out_for_a_while_is_no_loss(clips: ClipStore, tmp_path: Path):
    source = clips.encode(TEMPORAL_LAYERS, ENCODED[TEMPORAL_LAYERS], numbered_pictures())

    def edit(number: int, packet: bytes) -> bytes | None:
        layers = [(unit[1] & 7) - 1 for unit in split_units(packet) if unit_type(unit) < FIRST_BEYOND_SLICES]
        return None if number >= 40 and SUB_LAYER in layers else packet

    path = copy_packets(source, tmp_path / "dropped.mp4", edit)

    assert len(packets_of(path)) < len(packets_of(source))
    assert_exact(path)


def with_gaps_allowed(sps: bytes) -> bytes:
    """A sequence parameter set, H.264, 7.3.2.1.1, with gaps_in_frame_num_value_allowed_flag."""
    content = without_emulation_prevention(sps[1:])
    bits = BitReader(content)
    profile = bits.read(8)
    bits.read(16), bits.unsigned()
    if profile >= 100:
        bits.unsigned(), bits.unsigned(), bits.unsigned(), bits.read(2)
    bits.unsigned()
    assert bits.unsigned() == 0  # pic_order_cnt_type
    bits.unsigned(), bits.unsigned()
    place = bits._left - 1
    return sps[:1] + (int.from_bytes(content) | 1 << place).to_bytes(len(content))


def test_reference_pictures_that_were_left_out_as_the_stream_allows_are_no_loss(clips: ClipStore, tmp_path: Path):
    """A server that knows the layers of a stream leaves some of them out, and numbers are missing then."""
    coded = f"{H264} -x264-params bframes=3:b-adapt=0:b-pyramid=normal:scenecut=0:weightp=0:keyint=60"
    source = clips.encode("b-pyramid.ts", coded, numbered_pictures())
    pictures = iter(range(10**6))

    def edit(_number: int, packet: bytes) -> bytes | None:
        units = packet.split(b"\x00\x00\x01")
        units = [with_gaps_allowed(unit) if unit and unit[0] & 31 == SPS else unit for unit in units]
        slices = [unit for unit in units if unit and unit[0] & 31 in (1, 5)]
        bits = BitReader(without_emulation_prevention(slices[0][1:9]))
        bits.unsigned()
        is_b = bits.unsigned() % 5 == 1
        return None if is_b and next(pictures) >= 30 else b"\x00\x00\x01".join(units)

    path = copy_packets(source, tmp_path / "gaps.ts", edit)

    assert len(packets_of(path)) < len(packets_of(source))
    assert_exact(path)


def test_film_that_mpeg2_shows_for_three_fields_and_two_in_turn_is_exact(clips: ClipStore, tmp_path: Path):
    """Progressive pictures with repeat_first_field and top_field_first, ISO/IEC 13818-2, 6.2.3.1."""
    source = clips.encode("film-mpeg2.ts", f"{MPEG2} -flags +ildct -sc_threshold 1000000000", numbered_pictures())
    flags = ((1, 1), (0, 0), (0, 1), (1, 0))
    """top_field_first and repeat_first_field of four pictures."""
    edited = 0

    def edit(number: int, packet: bytes) -> bytes:
        nonlocal edited
        at = packet.find(PICTURE_EXTENSION)
        while packet[at + 4] >> 4 != PICTURE_CODING:
            at = packet.find(PICTURE_EXTENSION, at + 1)
        content = int.from_bytes(packet[at + 4 : at + 9])
        top_first, repeats = flags[number % 4]
        for place, value in ((24, top_first), (30, repeats), (32, 1)):  # the last one is progressive_frame
            content = content & ~(1 << 39 - place) | value << 39 - place
        edited += 1
        return packet[: at + 4] + content.to_bytes(5) + packet[at + 9 :]

    path = copy_packets(source, tmp_path / "pulldown.ts", edit)

    assert edited == 75
    assert_exact(path)
    order = order_for(path, Fraction(RATE_FPS))
    assert [number_in(picture) for picture in decode_needed_packets(path, order).pixels] == [*range(75)]
