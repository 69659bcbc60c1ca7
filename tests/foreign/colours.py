"""What a file says of its colours: numbers that no standard defines, and Dolby Vision without a base layer."""

import re
import struct
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clips import X265_THREADS, ffmpeg
from foreign.case import Foreign, Right, whole
from foreign.media import AV1, H264, HEVC, VP9, film, with_inner_box

Floats = npt.NDArray[np.float64]

PATCHES = (
    (200, 30, 30), (30, 160, 40), (30, 60, 200), (210, 200, 40),
    (230, 230, 230), (110, 110, 110), (200, 150, 120), (5, 5, 5),
)  # fmt: skip
PATCH_PX = 64
NITS_OF_WHITE = 203
# sRGB's primaries in those of BT.2020, BT.2087.
RGB_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
# What Dolby Vision's profile 5 stores, SMPTE ST 2094-10's IPT-PQ-c2: cone responses with 2 % crosstalk, through PQ.
LMS_TO_2020 = np.array(
    [[3.06441879, -2.16597676, 0.10155818], [-0.65612108, 1.78554118, -0.12943749],
     [0.01736321, -0.04725154, 1.03004253]]
)  # fmt: skip
CROSSTALK = np.full((3, 3), 0.02) + np.eye(3) * 0.94
IPT_TO_LMS = np.array([[8192, 799, 1681], [8192, -933, 1091], [8192, 267, -5545]]) / 8192
X265 = f"-c:v libx265 -x265-params range=full:log-level=error:crf=8:{X265_THREADS} -tag:v hvc1"
SVT_AV1 = "-c:v libsvtav1 -svtav1-params lp=1 -crf 8 -preset 8 -color_range pc"


def dolby_vision(profile: int) -> bytes:
    """Eight patches as IPT-PQ-c2 in full range; a box says so, and the bitstream says nothing of its colours.

    Args:
        profile: 5 of HEVC or 10 of AV1.
    """
    options, name, before, entry = {
        5: (X265, b"dvcC", b"hvcC", b"hvc1"),
        10: (SVT_AV1, b"dvvC", b"av1C", b"av01"),
    }[profile]
    # Version 1.0, level 1, base layer and description present, compatible with nothing.
    record = struct.pack(">I4sBBH", 32, name, 1, 0, profile << 9 | 1 << 3 | 1 << 2 | 1) + bytes(20)
    picture = np.array(PATCHES, np.float64).reshape(2, 4, 3).repeat(PATCH_PX, 0).repeat(PATCH_PX, 1)
    cones = _pq(_nits(picture) @ np.linalg.inv(LMS_TO_2020).T @ CROSSTALK.T)
    ipt = cones @ np.linalg.inv(IPT_TO_LMS).T
    planes = (ipt[..., 0], ipt[::2, ::2, 1] + 0.5, ipt[::2, ::2, 2] + 0.5)
    raw = b"".join(np.rint(np.clip(1023 * plane, 0, 1023)).astype("<u2").tobytes() for plane in planes)
    source = "-f rawvideo -pix_fmt yuv420p10le -s 256x128 -r 25"
    with tempfile.TemporaryDirectory() as directory:
        path, planes_path = Path(directory, "a.mp4"), Path(directory, "planes")
        planes_path.write_bytes(raw * 25)
        ffmpeg(*source.split(), "-i", planes_path, *options.split(), path)
        return with_inner_box(path.read_bytes(), before, record, entry)


def _nits(codes: Floats) -> Floats:
    """Light of BT.2020's primaries from sRGB's codes."""
    share = codes / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(NITS_OF_WHITE * linear @ RGB_TO_2020.T)


def _pq(nits: Floats) -> Floats:
    """SMPTE ST 2084."""
    power = (np.clip(nits, 0, None) / 10_000) ** (2610 / 16384)
    return np.asarray(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def tagged(name: str, options: str, bitstream_filter: str, numbers: tuple[int, int, int]) -> bytes:
    """A film whose sequence headers give these primaries, transfer and matrix."""
    words = ("color_primaries", "transfer_characteristics", "matrix_coefficients")
    if not bitstream_filter.startswith(("av1", "mpeg2")):
        words = ("colour_primaries", *words[1:])
    fields = ":".join(f"{word}={number}" for word, number in zip(words, numbers, strict=True))
    return film(name, f"{options} -bsf:v {bitstream_filter}={fields}")


def container_says(options: str, numbers: tuple[int, int, int]) -> bytes:
    """An MP4 whose `colr` box gives the numbers."""
    bt709 = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -movflags write_colr"
    content = bytearray(film("a.mp4", f"{options} {bt709}"))
    struct.pack_into(">HHH", content, content.rindex(b"nclx") + 4, *numbers)
    return bytes(content)


def prores(numbers: Iterable[int]) -> bytes:
    """ProRes whose frame headers give the numbers (SMPTE RDD 36, 5.1)."""
    content = bytearray(film("a.mov", "-c:v prores_ks -profile:v 0", num_pictures=50))
    for found in re.finditer(b"icpf", bytes(content)):
        content[found.start() + 18 : found.start() + 21] = bytes(numbers)
    return bytes(content)


NUMBERS = ((0, 0, 0), (3, 3, 3), (30, 30, 30), (10, 10, 8))
KIND = "colours"
FILM, SHORT = whole(100), whole(50)
LOGARITHMIC = f"{H264} -color_trc log -color_primaries bt709 -colorspace bt709"
DOLBY = Right(duration_s=1, num_pictures=25, patches=PATCHES)
IT_IS_SAID = Right(duration_s=1, num_pictures=25, says=("Dolby",))
INPUTS = [
    Foreign("dolby_vision_5.mp4", KIND, partial(dolby_vision, 5), DOLBY, (IT_IS_SAID,)),
    Foreign("dolby_vision_10.mp4", KIND, partial(dolby_vision, 10), DOLBY, (IT_IS_SAID,)),
    Foreign("logarithmic.mp4", KIND, partial(film, "a.mp4", LOGARITHMIC), FILM, sample_fps=5),
    Foreign("prores_0.mov", KIND, partial(prores, (0, 0, 0)), SHORT, sample_fps=5, is_quick=True),
    *(
        Foreign(f"h264_{numbers[0]}.mp4", KIND, partial(tagged, "a.mp4", H264, "h264_metadata", numbers), FILM,
                sample_fps=5)
        for numbers in NUMBERS
    ),
    Foreign("hevc_3.mp4", KIND, partial(tagged, "a.mp4", HEVC, "hevc_metadata", (3, 3, 3)), FILM, sample_fps=5),
    *(
        Foreign(f"av1_{numbers[0]}.mkv", KIND, partial(tagged, "a.mkv", AV1, "av1_metadata", numbers), FILM,
                sample_fps=5)
        for numbers in NUMBERS[1:]
    ),
    *(
        Foreign(f"colr_{number}_{name}.mp4", KIND, partial(container_says, options, (number,) * 3), FILM, sample_fps=5)
        for name, options in (("vp9", VP9), ("mpeg4", "-c:v mpeg4 -q 3 -g 25"))
        for number in (0, 3, 9)
    ),
]  # fmt: skip
