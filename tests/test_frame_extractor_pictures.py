"""Pictures come out upright, in the shape of the source and of one instant; ffmpeg's own output is the measure."""

import gc
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import ExifTags, Image

from clips import (
    CORNERS,
    H264,
    HEIGHT_PX,
    HEVC,
    MPEG2,
    WIDTH_PX,
    ClipStore,
    ffmpeg,
    number_in,
    numbered_pictures,
    with_display_matrix,
)
from decoder.convert.rgb import PictureConverter
from frame_extractor import FrameExtractor
from records import Chunk, SampleGrid, VideoInfo

pytestmark = pytest.mark.usefixtures("mostly_in_process")

# Each of the eight ways to lay a picture down, and the clockwise turn after a mirroring or none.
MATRICES = {
    (1, 0, 0, 1): 0,
    (0, 1, -1, 0): 90,
    (-1, 0, 0, -1): 180,
    (0, -1, 1, 0): 270,
    (-1, 0, 0, 1): 0,
    (0, -1, -1, 0): 90,
    (1, 0, 0, -1): 180,
    (0, 1, 1, 0): 270,
}
TOP_FIRST, BOTTOM_FIRST = "-vf setfield=tff", "-vf setfield=bff"
INTERLACED = {
    "top-first.mp4": (1, f"{TOP_FIRST} {H264}", HEIGHT_PX),
    "bottom-first.mp4": (0, f"{BOTTOM_FIRST} {H264}", HEIGHT_PX),
    "top-first.ts": (1, f"{TOP_FIRST} {MPEG2}", HEIGHT_PX),
    "bottom-first.ts": (0, f"{BOTTOM_FIRST} {MPEG2}", HEIGHT_PX),
    "bottom-first.mov": (0, f"{BOTTOM_FIRST} -c:v prores_ks -profile:v 0", HEIGHT_PX),
    "odd.ts": (1, f"{TOP_FIRST} {MPEG2}", HEIGHT_PX - 1),
}
"""The first of the lines that come later, ffmpeg's options and the height, by file name."""


async def picture_of(extractor: FrameExtractor, path: Path, height_px: int, width_px: int) -> np.ndarray:
    info = await extractor.get_video_info(path)
    return await first_picture(extractor, path, info, height_px, width_px)


async def first_picture(
    extractor: FrameExtractor, path: Path, info: VideoInfo, height_px: int, width_px: int
) -> np.ndarray:
    sampling = SampleGrid(info.start_s, Fraction(1), height_px, width_px)
    batch = await extractor.extract_frames(path, info, sampling, Chunk(0, info.start_s, info.end_s, info.end_s))
    picture: np.ndarray = batch.pixels[0]
    return picture


def as_ffmpeg_shows(path: Path, height_px: int, width_px: int) -> np.ndarray:
    flags = "bicubic+accurate_rnd+full_chroma_inp+full_chroma_int"
    one = ["-frames:v", "1", "-vf", f"scale={width_px}:{height_px}:flags={flags}"]
    output = ffmpeg("-i", path, *one, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:")
    return np.frombuffer(output, np.uint8).reshape(height_px, width_px, 3)


@pytest.mark.parametrize("matrix", MATRICES)
async def test_turned_and_mirrored_pictures_come_out_as_ffmpeg_shows_them(
    matrix: tuple[int, int, int, int], clips: ClipStore, extractor: FrameExtractor
):
    upright = clips.clip("h264.mp4").path
    path = clips.write(f"shown{matrix}.mp4", with_display_matrix(upright.read_bytes(), *matrix))
    turned = MATRICES[matrix] in (90, 270)
    size_px = (WIDTH_PX, HEIGHT_PX) if turned else (HEIGHT_PX, WIDTH_PX)

    info = await extractor.get_video_info(path)
    picture = await first_picture(extractor, path, info, *size_px)

    assert (info.height_px, info.width_px, info.rotation_deg) == (*size_px, MATRICES[matrix])
    assert np.abs(picture.astype(int) - as_ffmpeg_shows(path, *size_px)).max() <= 3


@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270])
async def test_a_phone_held_sideways_films_upright_pictures(
    clockwise_deg: int, clips: ClipStore, extractor: FrameExtractor
):
    coded = np.rot90(numbered_pictures(10), clockwise_deg // 90, axes=(1, 2))
    path = clips.encode(f"coded-{clockwise_deg}.mp4", H264, np.ascontiguousarray(coded))
    matrix = next(matrix for matrix, turn_deg in MATRICES.items() if turn_deg == clockwise_deg)
    path = clips.write(f"held-{clockwise_deg}.mp4", with_display_matrix(path.read_bytes(), *matrix))

    picture = await picture_of(extractor, path, HEIGHT_PX, WIDTH_PX)

    corners = picture[[16, 16, -16, -16], [16, -16, 16, -16]].astype(int)
    assert np.abs(corners - list(CORNERS.values())).max() < 40


@pytest.mark.parametrize(("exif_orientation", "clockwise_deg"), [(1, 0), (3, 180), (6, 90), (8, 270)])
async def test_a_camera_that_writes_exif_into_each_picture_films_upright_pictures(
    exif_orientation: int, clockwise_deg: int, clips: ClipStore, extractor: FrameExtractor
):
    jpegs = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = exif_orientation
    for picture in np.rot90(numbered_pictures(10), clockwise_deg // 90, axes=(1, 2)):
        Image.fromarray(picture).save(jpegs, "JPEG", exif=exif)
    stream = clips.write(f"exif-{clockwise_deg}.mjpeg", jpegs.getvalue())
    path = stream.with_suffix(".mov")
    ffmpeg("-f", "mjpeg", "-framerate", "25", "-i", stream, "-c", "copy", path)

    info = await extractor.get_video_info(path)
    picture = await first_picture(extractor, path, info, HEIGHT_PX, WIDTH_PX)

    assert (info.rotation_deg, number_in(picture)) == (clockwise_deg, 0)


@pytest.mark.parametrize(("aspect", "size_px"), [("2", (HEIGHT_PX, WIDTH_PX)), ("1/2", (2 * HEIGHT_PX, WIDTH_PX // 2))])
async def test_pixels_that_are_not_square_are_stretched(
    aspect: str, size_px: tuple[int, int], clips: ClipStore, extractor: FrameExtractor
):
    narrow = numbered_pictures(100)[99:, :, ::2]
    path = clips.encode(f"aspect-{aspect[-1]}-{size_px[0]}.mp4", f"-vf setsar={aspect} {H264} -crf 4", narrow)

    info = await extractor.get_video_info(path)
    picture = await first_picture(extractor, path, info, *size_px)

    assert (info.height_px, info.width_px) == size_px
    stretched = Image.fromarray(narrow[0]).resize(size_px[::-1], Image.Resampling.BICUBIC)
    assert number_in(picture) == 99
    assert np.abs(picture.astype(int) - np.asarray(stretched)).mean() < 3


@pytest.mark.parametrize("clip", INTERLACED)
async def test_an_interlaced_picture_shows_the_lines_of_its_earlier_field(
    clip: str, clips: ClipStore, extractor: FrameExtractor
):
    later_lines, options, height_px = INTERLACED[clip]
    pictures = numbered_pictures(40)[:, :height_px]
    woven = pictures[::2].copy()
    woven[:, later_lines::2] = pictures[1::2, later_lines::2]
    path = clips.encode(clip, f"{options} -flags +ildct+ilme", woven)
    info = await extractor.get_video_info(path)
    sampling = SampleGrid(info.start_s, info.fps, HEIGHT_PX, WIDTH_PX)

    batch = await extractor.extract_frames(path, info, sampling, Chunk(0, 0, info.end_s, info.end_s))

    assert [number_in(picture) for picture in batch.pixels] == list(range(0, 40, 2))
    inside_cells = batch.pixels[:, HEIGHT_PX // 4 + 4 : HEIGHT_PX // 2 - 4].astype(int)
    assert np.abs(np.diff(inside_cells, axis=1)).max() < 60


async def test_pictures_that_are_coded_field_by_field_are_as_high_as_both(clips: ClipStore, extractor: FrameExtractor):
    options = HEVC.replace("x265-params ", "x265-params interlace=tff:")
    path = clips.encode("fields.mp4", options, numbered_pictures(20)[:, ::2])
    info = await extractor.get_video_info(path)
    sampling = SampleGrid(info.start_s, info.fps, HEIGHT_PX, WIDTH_PX)

    batch = await extractor.extract_frames(path, info, sampling, Chunk(0, 0, info.end_s, info.end_s))

    assert (info.height_px, info.width_px) == (HEIGHT_PX, WIDTH_PX)
    assert [number_in(picture) for picture in batch.pixels] == list(range(20))
    assert np.abs(batch.pixels[0].astype(int) - as_ffmpeg_shows(path, HEIGHT_PX, WIDTH_PX)).max() <= 2


async def test_a_grey_picture_of_odd_size_becomes_rgb_of_the_planned_size(clips: ClipStore, extractor: FrameExtractor):
    path = clips.encode("grey.mp4", "-c:v libx264 -crf 4 -pix_fmt gray", numbered_pictures(5)[:, :101, :255])

    picture = await picture_of(extractor, path, 96, 256)

    assert np.abs(picture.astype(int) - as_ffmpeg_shows(path, 96, 256)).max() <= 2


def test_converted_pictures_are_freed_at_once() -> None:
    converter, pixels = PictureConverter(32, 32, "h264"), np.zeros((64, 64, 3), np.uint8)
    gc.collect()
    gc.disable()
    try:
        for _ in range(200):
            converter.convert(VideoFrame.from_ndarray(pixels))
        assert gc.collect() < 200  # what other threads leave in the meantime is less
    finally:
        gc.enable()
