"""Which part of a picture is shown, which way up, and in what shape."""

import struct
from dataclasses import replace
from fractions import Fraction
from functools import partial

from bit_writer import BitWriter
from clips import RATE_FPS
from foreign.case import Foreign, Part, Right, whole
from foreign.matroska import matroska
from foreign.media import H264, HEVC, MPEG2, VP9, film, packets_with_times, remuxed, repacked, with_inner_box
from remux import join_units, split_units

BORDER_PX = 64
H264_NO_B, MPEG2_NO_B = H264.replace("-bf 2", "-bf 0"), MPEG2.replace("-bf 2", "-bf 0")
PADDED = f"-vf pad=384:256:{BORDER_PX}:{BORDER_PX}:magenta {H264_NO_B}"
CLAP = struct.pack(">I4s8I", 40, b"clap", 256, 1, 128, 1, 0, 1, 0, 1)
"""Clean aperture, ISO/IEC 14496-12, 12.1.4: 256x128 around the centre."""
TURNED = f"-vf transpose=cclock {H264.replace('-g 50', '-g 25')}"
HEVC_SEI, DISPLAY_ORIENTATION, HEVC_KEYFRAMES = 39, 47, range(16, 22)
SEI_TURN = "-bsf:v h264_metadata=display_orientation=insert:rotate=270"


def turned_by_sei(name: str) -> bytes:
    """Pictures stored turned; a message at every keyframe, valid until the next, turns them back (H.264, D.2.26)."""
    return film(name, f"{TURNED} {SEI_TURN}")


def turned_by_sei_of_hevc(name: str) -> bytes:
    """The same in HEVC (H.265, D.2.17)."""
    fields = BitWriter().write(0, 1).write(0, 2).write(270 * 2**16 // 360, 16).write(1, 1).write(1, 1)
    message = bytes([HEVC_SEI << 1, 1, DISPLAY_ORIENTATION, len(fields.to_bytes())]) + fields.to_bytes() + b"\x80"

    def edit(_: int, packet: bytes) -> bytes:
        units = split_units(packet)
        return join_units([message] * any(unit[0] >> 1 in HEVC_KEYFRAMES for unit in units) + units)

    mp4 = repacked("a.mp4", film("a.mp4", f"-vf transpose=cclock {HEVC.replace('keyint=50', 'keyint=25')}"), edit)
    return mp4 if name.endswith("mp4") else remuxed(name, "-c copy", mp4)


def cropped_matroska() -> bytes:
    """PixelCrop hides a border on all sides."""
    configuration, packets = packets_with_times(film("a.mp4", PADDED))
    blocks = [(at_s or Fraction(0), is_key, content) for at_s, is_key, content in packets]
    return matroska("V_MPEG4/ISO/AVC", configuration, (384, 256), blocks, crop_px=BORDER_PX)


def clean_aperture() -> bytes:
    """`clap` hides a border on all sides."""
    return with_inner_box(film("a.mp4", PADDED), b"avcC", CLAP, b"avc1")


def turns_midway(options: str, codec_id: str) -> bytes:
    """Two seconds wide, two seconds tall, as a telephone that is turned during a call."""
    _, wide = packets_with_times(film("a.webm", options, num_pictures=50))
    _, tall = packets_with_times(film("a.webm", f"-vf scale=128:256 {options}", first=50, num_pictures=50))
    blocks = [
        (Fraction(number, RATE_FPS), is_key, content) for number, (_, is_key, content) in enumerate([*wide, *tall])
    ]
    return matroska(codec_id, b"", (256, 128), blocks)


def grows_midway() -> bytes:
    """The same shape, twice as large, as a stream whose network becomes better."""
    _, small = packets_with_times(film("a.webm", f"-vf scale=128:64 {VP9}", num_pictures=50))
    _, large = packets_with_times(film("a.webm", VP9, first=50, num_pictures=50))
    blocks = [
        (Fraction(number, RATE_FPS), is_key, content) for number, (_, is_key, content) in enumerate([*small, *large])
    ]
    return matroska("V_VP9", b"", (256, 128), blocks)


def pixels_narrow(name: str, options: str) -> bytes:
    """Two seconds with square pixels, two with narrower ones, as between two programmes of a broadcast."""
    square = film(name, f"-vf setsar=1 {options} -output_ts_offset 5", num_pictures=50)
    return square + film(name, f"-vf setsar=3/4 {options} -output_ts_offset 7", first=50, num_pictures=50)


THEN_NARROWER = Right((Part(0, 2, 0), Part(2, 4, 50, share=(3 / 4, 1))), duration_s=4, num_pictures=100)
WIDE_THEN_TALL = Right((Part(0, 2, 0), Part(2, 4, 50, share=(1 / 4, 1))), duration_s=4, num_pictures=100)
UNCROPPED = replace(whole(100), parts=(Part(0, 4, 0, share=(2 / 3, 1 / 2)),), size_px=(384, 256))
"""As browsers show it, and as the README says."""
TURN, CROP, SIZE = "turn", "crop", "new size"
INPUTS = [
    Foreign("sei_turn.flv", TURN, partial(turned_by_sei, "a.flv"), whole(100), is_quick=True),
    Foreign("sei_turn.ts", TURN, partial(turned_by_sei, "a.ts"), whole(100)),
    *(
        Foreign(f"sei_turn_hevc.{container}", TURN, partial(turned_by_sei_of_hevc, f"a.{container}"), whole(100))
        for container in ("mp4", "mkv", "ts")
    ),
    Foreign("sei_turn.mp4", TURN, partial(turned_by_sei, "a.mp4"), whole(100)),
    Foreign("pixel_crop.mkv", CROP, cropped_matroska, UNCROPPED, is_quick=True),
    Foreign("clap.mp4", CROP, clean_aperture, UNCROPPED),
    Foreign("turns_midway_vp9.mkv", SIZE, partial(turns_midway, VP9, "V_VP9"), WIDE_THEN_TALL, is_quick=True),
    Foreign("turns_midway_vp8.mkv", SIZE, partial(
        turns_midway, "-c:v libvpx -cpu-used 8 -deadline realtime -b:v 1M -g 50", "V_VP8"), WIDE_THEN_TALL),
    Foreign("pixels_narrow_mpeg2.ts", SIZE, partial(pixels_narrow, "a.ts", MPEG2_NO_B), THEN_NARROWER, is_quick=True),
    Foreign("pixels_narrow_h264.ts", SIZE, partial(pixels_narrow, "a.ts", H264_NO_B), THEN_NARROWER),
    Foreign("pixels_narrow.mpg", SIZE, partial(pixels_narrow, "a.mpg", MPEG2_NO_B), THEN_NARROWER),
    Foreign("pixels_narrow.flv", SIZE, partial(pixels_narrow, "a.flv", H264_NO_B), THEN_NARROWER),
    Foreign("grows_midway_vp9.mkv", SIZE, grows_midway, replace(whole(100), size_px=None)),
]  # fmt: skip
