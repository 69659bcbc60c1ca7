"""Clips made with ffmpeg whose pictures carry their own number, so that a test can tell which one it was given.

The bytes of a clip depend on ffmpeg's version and on nothing else: not on the machine, its processors or the time.
"""

import bisect
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np

HEIGHT_PX, WIDTH_PX = 128, 256
CELL_PX = 32
ROWS, BITS = HEIGHT_PX // CELL_PX, WIDTH_PX // CELL_PX
CORNERS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
"""The colours of the upper left, upper right, lower left and lower right corner."""

RATE_FPS = 25
NUM_PICTURES = 75
CONSTANT = tuple(Fraction(index, RATE_FPS) for index in range(NUM_PICTURES))
# 50, 50 and 20 ms in turn, with two seconds of standstill in the middle.
VARIABLE = tuple(
    Fraction(40 * index + index % 3 * 10 + (2000 if index >= 40 else 0), 1000) for index in range(NUM_PICTURES)
)
VARIABLE_FILTER = (
    "-vf settb=1/1000,setpts=40*N+10*mod(N\\,3)+2000*gte(N\\,40) -fps_mode passthrough -enc_time_base 1/1000"
)

# An encoder with more threads writes other packets, and without these words it takes as many as there are processors.
# Matroska and Ogg get random identifiers without -bitexact, and swscale's fast paths round as the processor does.
REPRODUCIBLE = ("-threads", "1", "-bitexact", "-sws_flags", "bicubic+accurate_rnd+bitexact")
"""ffmpeg's options for each output."""
ONE_FILTER_THREAD = ("-filter_threads", "1", "-filter_complex_threads", "1")
"""ffmpeg's options for the whole command."""

H264 = "-c:v libx264 -preset veryfast -g 15 -bf 2 -pix_fmt yuv420p"
OPEN_GOP = "-x264-params open-gop=1:b-adapt=0:bframes=3:scenecut=0"
X265_THREADS = "pools=none:frame-threads=1"
HEVC = (
    f"-c:v libx265 -preset ultrafast -x265-params keyint=15:bframes=3:open-gop=1:log-level=error:{X265_THREADS} "
    "-pix_fmt yuv420p"
)
VP8 = "-c:v libvpx -cpu-used 5 -b:v 1M -g 15"
VP9 = "-c:v libvpx-vp9 -cpu-used 8 -b:v 1M -g 15 -auto-alt-ref 1 -lag-in-frames 16"
AV1 = "-c:v libsvtav1 -svtav1-params lp=1 -preset 12 -g 15 -pix_fmt yuv420p"
MPEG2 = "-c:v mpeg2video -q 3 -g 15 -bf 2"

CONSTANT_RATE = {
    "h264.mp4": H264,
    "h264-open-gop.mp4": f"{H264} {OPEN_GOP}",
    "h264-one-keyframe.mp4": f"{H264} -g 1000",
    "h264-fragmented.mp4": f"{H264} -movflags frag_keyframe+empty_moov",
    "h264-from-zero-dts.mp4": f"{H264} -movflags negative_cts_offsets -use_editlist 0",
    "h264.mkv": H264,
    "h264.ts": H264,
    "h264-open-gop.ts": f"{H264} {OPEN_GOP}",
    "h264.flv": H264,
    "h264.avi": H264,
    "h264-open-gop.avi": f"{H264} {OPEN_GOP}",
    "hevc.mp4": HEVC,
    "hevc.mkv": HEVC,
    "hevc.ts": HEVC,
    "av1.mp4": AV1,
    "av1.webm": AV1,
    "vp8.webm": VP8,
    "vp8-hidden-pictures.webm": f"{VP8} -auto-alt-ref 1 -lag-in-frames 16",
    "vp9.webm": VP9,
    "mpeg4.mp4": "-c:v mpeg4 -q 3 -g 15 -bf 2",
    "mpeg4.avi": "-c:v mpeg4 -q 3 -g 15 -bf 2",
    "mpeg2.ts": MPEG2,
    # Of small pictures that begin in the same pack only the first one has a time: each of these is larger than a pack.
    "mpeg2.mpg": "-c:v mpeg2video -b:v 3M -minrate 3M -maxrate 3M -bufsize 240k -g 15 -bf 2 -f vob",
    "msmpeg4.avi": "-c:v msmpeg4 -q 3 -g 15",
    "wmv2.wmv": "-c:v wmv2 -q 3 -g 15",
    "flv1.flv": "-c:v flv -q 3 -g 15",
    "h263.3gp": "-s 352x288 -c:v h263 -q 3 -g 15",
    "theora.ogv": "-c:v libtheora -q 8 -g 15",
    "mjpeg.avi": "-c:v mjpeg -q 3 -pix_fmt yuvj420p",
    "prores.mov": "-c:v prores_ks -profile:v 0",
    "h264-interlaced.mp4": f"{H264} -flags +ildct+ilme",
}
"""ffmpeg's options by file name: 75 pictures, 25 a second, a keyframe every 15."""

VARIABLE_RATE = {
    "variable.mp4": f"{VARIABLE_FILTER} {H264}",
    "variable.mkv": f"{VARIABLE_FILTER} {H264}",
    "variable-open-gop.mov": f"{VARIABLE_FILTER} {H264} {OPEN_GOP}",
    "variable.ts": f"{VARIABLE_FILTER} {H264}",
    "variable.flv": f"{VARIABLE_FILTER} {H264}",
    "variable.webm": f"{VARIABLE_FILTER} {VP9}",
    "variable.wmv": f"{VARIABLE_FILTER} -c:v wmv2 -q 3 -g 15",
    "variable-hevc.mp4": f"{VARIABLE_FILTER} {HEVC}",
}
"""The same pictures at the times of VARIABLE."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A file and when its pictures are shown, in seconds from its first one."""

    path: Path
    times_s: Sequence[Fraction]
    numbers: Sequence[int] = range(2**BITS)

    def number_at(self, seconds: float | Fraction) -> int:
        """The number of the picture on screen; a microsecond early counts as in time."""
        return self.numbers[bisect.bisect_right(self.times_s, seconds + 1e-6) - 1]


@cache
def numbered_pictures(count: int = NUM_PICTURES) -> np.ndarray:
    """RGB pictures: a row of cells with the number's bits, one with their opposites, between coloured corners."""
    cells = np.zeros((count, ROWS, BITS, 3), np.uint8)
    bits = np.arange(count)[:, None] >> np.arange(BITS) & 1
    cells[:, 1] = bits[..., None] * 255
    cells[:, 2] = 255 - cells[:, 1]
    cells[:, 0, :4], cells[:, 0, 4:], cells[:, 3, :4], cells[:, 3, 4:] = CORNERS.values()
    return cells.repeat(CELL_PX, axis=1).repeat(CELL_PX, axis=2)


def number_in(picture: np.ndarray) -> int:
    """The number that an upright picture of any size carries."""
    height_px, width_px = picture.shape[:2]
    rows = [round(height_px * (row + 0.5) / ROWS) for row in (1, 2)]
    columns = [round(width_px * (column + 0.5) / BITS) for column in range(BITS)]
    bits, opposites = picture[rows][:, columns].mean(axis=-1)
    assert np.all(np.abs(bits - opposites) > 60), "the picture is damaged, turned or mirrored"
    return int(((bits > opposites) << np.arange(BITS)).sum())


def ffmpeg(*arguments: str | Path, pictures: np.ndarray | None = None) -> bytes:
    """Run ffmpeg and return what it writes to its standard output.

    Args:
        arguments: ffmpeg's; the last one is an output, and each output before it needs REPRODUCIBLE among its options.
        pictures: the first input, (T, H, W, 3) RGB of uint8.
    """
    source: list[str] = []
    if pictures is not None:
        size = f"{pictures.shape[2]}x{pictures.shape[1]}"
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(RATE_FPS), "-i", "pipe:"]
    *before_output, output = map(str, arguments)
    command = ["ffmpeg", "-v", "error", "-y", *ONE_FILTER_THREAD, *source, *before_output, *REPRODUCIBLE, output]
    stdin = b"" if pictures is None else pictures.tobytes()
    return subprocess.run(command, input=stdin, check=True, capture_output=True).stdout


class ClipStore:
    """Makes clips in a directory, each once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._options: dict[str, str] = {}

    def _place(self, name: str, options: str) -> Path:
        """Where a file is or will be; no other one may have its name."""
        assert self._options.setdefault(name, options) == options
        return self._directory / name

    def clip(self, name: str) -> Clip:
        """A clip of CONSTANT_RATE or VARIABLE_RATE."""
        options = (CONSTANT_RATE | VARIABLE_RATE)[name]
        path = self._place(name, options)
        if not path.exists():
            ffmpeg(*options.split(), path, pictures=numbered_pictures())
        return Clip(path, CONSTANT if name in CONSTANT_RATE else VARIABLE)

    def copy(self, name: str, source: str, options: str) -> Path:
        """Another file with the packets of a clip; `{}` in the options stands for the clip."""
        path = self._place(name, f"{source} {options}")
        if not path.exists():
            ffmpeg(*(str(self.clip(source).path) if word == "{}" else word for word in options.split()), path)
        return path

    def encode(self, name: str, options: str, pictures: np.ndarray) -> Path:
        """A file of other pictures, 25 a second."""
        path = self._place(name, f"{pictures.shape} {options}")
        if not path.exists():
            ffmpeg(*options.split(), path, pictures=pictures)
        return path

    def write(self, name: str, content: bytes) -> Path:
        """A file of any bytes."""
        path = self._directory / name
        path.write_bytes(content)
        return path


def with_display_matrix(mp4: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """An MP4 whose video is shown with the point (x, y) of its pictures at (ax + cy, bx + dy)."""
    matrix_at = mp4.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return mp4[:matrix_at] + matrix + mp4[matrix_at + len(matrix) :]


def with_edit_list(mp4: bytes, shown_s: Sequence[tuple[float, float]]) -> bytes:
    """An MP4 of one track, its index behind its pictures, that shows these parts of it, one after the other.

    Raises:
        ValueError: there is no edit list to replace.
    """
    movie_at, list_at = mp4.rindex(b"moov"), mp4.rindex(b"elst")  # ISO/IEC 14496-12, 8.6.6, version 0
    (movie_hz,) = struct.unpack_from(">I", mp4, mp4.rindex(b"mvhd") + 16)
    (media_hz,) = struct.unpack_from(">I", mp4, mp4.rindex(b"mdhd") + 16)
    (first_at,) = struct.unpack_from(">I", mp4, list_at + 16)
    edits = [
        struct.pack(">IIHH", round((stop - start) * movie_hz), first_at + round(start * media_hz), 1, 0)
        for start, stop in shown_s
    ]
    (old_bytes,) = struct.unpack_from(">I", mp4, list_at - 4)
    changed = bytearray(mp4[: list_at + 8] + struct.pack(">I", len(edits)) + b"".join(edits))
    changed += mp4[list_at - 4 + old_bytes :]
    for at in (movie_at, mp4.rindex(b"trak"), mp4.rindex(b"edts"), list_at):
        (size_bytes,) = struct.unpack_from(">I", mp4, at - 4)
        struct.pack_into(">I", changed, at - 4, size_bytes + len(changed) - len(mp4))
    return bytes(changed)
