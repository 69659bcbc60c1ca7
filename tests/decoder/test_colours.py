"""Patches of known colours come out as they went in: their planes are computed here, and coded without loss."""

from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from clips import HEIGHT_PX, RATE_FPS, WIDTH_PX, ffmpeg
from decoder.convert.rgb import PictureConverter
from decoding import decode_needed_packets, order_for

TOLERANCE = 3
ROWS, COLUMNS = 4, 8
# The six colours of full saturation, black and white; and others.
COLOURS = np.array([
    *product((0, 255), repeat=3),
    *np.random.default_rng(0).integers(0, 256, (ROWS * COLUMNS - 8, 3)),
]).reshape(ROWS, COLUMNS, 3)  # fmt: skip
BELOW_KNEE = 170
"""Brightness that an ordinary screen shows as it is: below 0.4 of white."""

MATRICES = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
"""The weights of red and blue in luma, ITU-T H.273, table 4."""
PIXEL_FORMATS = {
    "yuv420p": (8, 2, 2),
    "yuv422p": (8, 1, 2),
    "yuv444p": (8, 1, 1),
    "yuv420p10le": (10, 2, 2),
    "yuv422p10le": (10, 1, 2),
    "yuv444p10le": (10, 1, 1),
}
"""The bits of a sample, and how many lines and columns share one of chroma."""
LOSSLESS = "-c:v libx264 -preset ultrafast -qp 0"
TAGS = "-colorspace {matrix} -color_range {range}"
CODECS = {
    "hevc.mp4": ("yuv420p10le", "bt2020nc", "pc", "-c:v libx265 -x265-params lossless=1:log-level=error"),
    "vp8.webm": ("yuv420p", "smpte170m", "tv", "-c:v libvpx -crf 4 -b:v 5M"),
    "vp9.webm": ("yuv422p", "bt709", "pc", "-c:v libvpx-vp9 -lossless 1"),
    "av1.mp4": ("yuv420p10le", "bt2020nc", "tv", "-c:v libsvtav1 -preset 12 -crf 1"),
    "mpeg2.ts": ("yuv420p", "smpte240m", "tv", "-c:v mpeg2video -q 1"),
    "prores.mov": ("yuv422p10le", "bt709", "tv", "-vf setparams=colorspace=bt709 -c:v prores_ks -q 1"),
    "mjpeg.mov": ("yuv444p", "smpte170m", "pc", "-vf setparams=range=pc -c:v mjpeg -q 1"),
}
"""Pixel format, matrix, range and ffmpeg's options by file name; each says colours in its own syntax, or cannot."""


def enlarged(height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX) -> np.ndarray:
    """The colours as a picture of 4 by 8 patches."""
    return COLOURS.repeat(height_px // ROWS, axis=0).repeat(width_px // COLUMNS, axis=1)


def planes(picture: np.ndarray, matrix: str, colour_range: str, pixel_format: str) -> bytes:
    """The planes Y, Cb, Cr of an RGB picture, by the equations of ITU-T H.273, 8.3."""
    bits, lines, columns = PIXEL_FORMATS[pixel_format]
    red, blue = MATRICES[matrix]
    rgb = picture / 255
    luma = rgb @ [red, 1 - red - blue, blue]
    chroma = (rgb[..., 2] - luma) / (1 - blue) / 2, (rgb[..., 0] - luma) / (1 - red) / 2
    highest = 2**bits - 1
    unit = 2 ** (bits - 8)
    black, luma_span, chroma_span = (16 * unit, 219 * unit, 224 * unit) if colour_range == "tv" else (0, *2 * [highest])
    shared = [plane[::lines, ::columns] for plane in chroma]
    levels = [black + luma_span * luma, *(128 * unit + chroma_span * plane for plane in shared)]
    return samples(levels, bits)


def samples(levels: list[np.ndarray], bits: int) -> bytes:
    """Levels rounded to samples, as ffmpeg reads raw video."""
    rounded = (np.clip(np.rint(plane), 0, 2**bits - 1) for plane in levels)
    return b"".join(plane.astype(np.uint8 if bits == 8 else "<u2").tobytes() for plane in rounded)


def encode(
    path: Path, options: str, pixel_format: str, raw: bytes, height_px: int = HEIGHT_PX, width_px: int = WIDTH_PX
) -> Path:
    """A file of five equal pictures."""
    source = path.with_suffix(".raw")
    source.write_bytes(5 * raw)
    form = f"-f rawvideo -pix_fmt {pixel_format} -s {width_px}x{height_px} -r {RATE_FPS} -i"
    ffmpeg(*form.split(), source, *options.split(), path)
    return path


def delivered(path: Path) -> np.ndarray:
    """The first picture, resized to HEIGHT_PX and WIDTH_PX."""
    return decode_needed_packets(path, order_for(path, Fraction(RATE_FPS))).pixels[0]


def insides(picture: np.ndarray) -> np.ndarray:
    """The pixels of each patch as (4, 16, 8, 16, 3), without its edges."""
    fields = picture.reshape(ROWS, HEIGHT_PX // ROWS, COLUMNS, WIDTH_PX // COLUMNS, 3).astype(int)
    return fields[:, 8:-8, :, 8:-8]


def error(picture: np.ndarray) -> int:
    """How far the worst pixel inside a patch is from its colour, in levels."""
    return int(np.abs(insides(picture) - COLOURS[:, None, :, None]).max())


def hues(colours: np.ndarray) -> np.ndarray:
    """The channels in linear light, the strongest of them 1."""
    light = (colours / 255) ** 2.2
    shares: np.ndarray = light / light.max(-1, keepdims=True)
    return shares


@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
@pytest.mark.parametrize("colour_range", ["tv", "pc"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_colours_of_every_matrix_and_range_are_those_of_the_source(
    matrix: str, colour_range: str, pixel_format: str, tmp_path: Path
):
    raw = planes(enlarged(), matrix, colour_range, pixel_format)
    tags = TAGS.format(matrix=matrix, range=colour_range)

    path = encode(tmp_path / "tagged.mp4", f"{LOSSLESS} {tags}", pixel_format, raw)

    assert error(delivered(path)) <= TOLERANCE


@pytest.mark.parametrize("clip", CODECS)
def test_colours_of_every_codec_are_those_of_the_source(clip: str, tmp_path: Path):
    pixel_format, matrix, colour_range, options = CODECS[clip]
    raw = planes(enlarged(), matrix, colour_range, pixel_format)
    tags = TAGS.format(matrix=matrix, range=colour_range)

    path = encode(tmp_path / clip, f"{options} {tags}", pixel_format, raw)

    assert error(delivered(path)) <= TOLERANCE


def test_pictures_coded_as_rgb_are_not_converted(tmp_path: Path):
    raw = enlarged().astype(np.uint8).tobytes()

    path = encode(tmp_path / "planar.mp4", "-c:v libx264rgb -qp 0", "rgb24", raw)

    assert error(delivered(path)) == 0


@pytest.mark.parametrize(
    ("height_px", "width_px", "matrix"),
    [(128, 256, "smpte170m"), (576, 1024, "smpte170m"), (576, 1088, "bt709"), (640, 1024, "bt709")],
)
def test_large_pictures_that_name_no_matrix_are_taken_for_bt709_and_small_ones_for_bt601(
    height_px: int, width_px: int, matrix: str, tmp_path: Path
):
    raw = planes(enlarged(height_px, width_px), matrix, "tv", "yuv420p")

    path = encode(tmp_path / "unnamed.mp4", LOSSLESS, "yuv420p", raw, height_px, width_px)

    assert error(delivered(path)) <= TOLERANCE


SAID_BY_THE_CONTAINER = {
    "hevc": ("yuv420p10le", "-c:v libx265 -x265-params lossless=1:log-level=error"),
    "vp9": ("yuv420p", "-c:v libvpx-vp9 -lossless 1"),
    "av1": ("yuv420p10le", "-c:v libsvtav1 -svtav1-params lp=1 -preset 12 -crf 1"),
    "h264": ("yuv420p", LOSSLESS),
}


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("codec", SAID_BY_THE_CONTAINER)
def test_colours_that_only_the_container_names_are_those_of_the_source(codec: str, container: str, tmp_path: Path):
    pixel_format, options = SAID_BY_THE_CONTAINER[codec]
    unsaid = encode(tmp_path / "unsaid.mp4", options, pixel_format, planes(enlarged(), "bt709", "tv", pixel_format))
    path = tmp_path / f"said.{container}"
    said = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -movflags write_colr"

    ffmpeg("-i", unsaid, "-c", "copy", *said.split(), path)

    assert error(delivered(path)) <= TOLERANCE < error(delivered(unsaid))


def test_a_colour_matrix_that_cannot_be_converted_is_taken_for_the_usual_one(tmp_path: Path):
    usual = encode(tmp_path / "usual.mp4", LOSSLESS, "yuv420p", planes(enlarged(), "smpte170m", "tv", "yuv420p"))

    for number in (0, 3, 8, 14):  # RGB, reserved, YCgCo, ICtCp
        path = tmp_path / f"matrix-{number}.mp4"
        ffmpeg("-i", usual, "-c", "copy", "-bsf:v", f"h264_metadata=matrix_coefficients={number}", path)
        assert error(delivered(path)) <= TOLERANCE


def test_bt2020_of_constant_luminance_is_taken_for_the_other_bt2020(tmp_path: Path):
    raw = planes(enlarged(), "bt2020nc", "tv", "yuv420p10le")

    path = encode(tmp_path / "bt2020c.mp4", f"{LOSSLESS} -colorspace bt2020c", "yuv420p10le", raw)

    assert error(delivered(path)) <= TOLERANCE


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_a_high_dynamic_range_that_names_no_colours_is_taken_for_bt2020(transfer: str, tmp_path: Path):
    raw = planes(enlarged(), "bt2020nc", "tv", "yuv420p10le")
    options = f"{LOSSLESS} -color_trc {transfer}"
    named = f"{options} -colorspace bt2020nc -color_primaries bt2020"

    expected = delivered(encode(tmp_path / "named.mp4", named, "yuv420p10le", raw))

    assert np.array_equal(delivered(encode(tmp_path / "unnamed.mp4", options, "yuv420p10le", raw)), expected)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_a_high_dynamic_range_is_shown_as_an_ordinary_screen_would(transfer: str, tmp_path: Path):
    brightened = (
        f"-vf zscale=tin=iec61966-2-1:pin=bt709:min=gbr:t={transfer}:p=bt2020:m=bt2020nc:r=tv:npl=203:agamma=0,"
        f"format=yuv420p10le "
        f"-color_trc {transfer} -color_primaries bt2020 -colorspace bt2020nc {LOSSLESS}"
    )
    path = encode(tmp_path / f"{transfer}.mp4", brightened, "rgb24", enlarged().astype(np.uint8).tobytes())

    shown = insides(delivered(path)).mean(axis=(1, 3))

    below_knee = COLOURS.max(-1) < BELOW_KNEE
    bright = COLOURS.max(-1) > 0
    assert 1 < below_knee.sum() < below_knee.size
    assert np.abs(shown - COLOURS)[below_knee].max() <= TOLERANCE
    compressed = shown[bright].max(-1) / COLOURS[bright].max(-1)
    assert np.all((compressed > 0.8) & (compressed < 1.02))
    assert np.abs(hues(shown[bright]) - hues(COLOURS[bright])).max() < 0.05


@pytest.mark.parametrize(
    ("clip", "pixel_format", "options"),
    [
        ("transparent.webm", "yuv420p", "-c:v libvpx-vp9 -lossless 1 -auto-alt-ref 0 -pix_fmt yuva420p"),
        ("transparent.mov", "yuv444p10le", "-vf setparams=colorspace=bt709 -c:v prores_ks -profile:v 4444 -q 1"),
    ],
)
def test_the_colours_of_a_transparent_picture_are_those_that_were_coded(
    clip: str, pixel_format: str, options: str, tmp_path: Path
):
    """Alpha is ignored: nothing tells before which background a picture would be shown."""
    bits, *_ = PIXEL_FORMATS[pixel_format]
    alpha = np.tile(np.linspace(0, 2**bits - 1, WIDTH_PX), (HEIGHT_PX, 1))
    raw = planes(enlarged(), "bt709", "tv", pixel_format) + samples([alpha], bits)

    path = encode(tmp_path / clip, f"{options} -colorspace bt709", pixel_format.replace("yuv", "yuva"), raw)

    decoder = ["-c:v", "libvpx-vp9"] if path.suffix == ".webm" else []
    kept = ffmpeg(*decoder, "-i", path, "-vf", "alphaextract", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:")
    assert (min(kept), max(kept)) == (0, 255)
    assert error(delivered(path)) <= TOLERANCE


@pytest.mark.parametrize(("as_coded", "as_a_gpu_gives_it"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le")])
def test_the_order_of_the_planes_changes_no_pixel(as_coded: str, as_a_gpu_gives_it: str) -> None:
    frame = VideoFrame.from_ndarray(enlarged().astype(np.uint8)).reformat(format=as_coded)
    converter = PictureConverter(HEIGHT_PX // 2, WIDTH_PX // 2, "h264")

    assert np.array_equal(converter.convert(frame), converter.convert(frame.reformat(format=as_a_gpu_gives_it)))
