"""Every number that a stream can name its colours with is converted; what is not known counts as not said."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from clips import H264, ClipStore, ffmpeg, numbered_pictures
from decoder.convert.rgb import PictureConverter, has_known_colours
from decoder.probe import probe
from decoding import decode_all_packets, order_for, probed
from planning import NOTICES, Budget, ChunkLength, plan_video
from protocol import Refusal
from records import VideoInfo

HDR = (16, 18)
FIELDS = {"color_primaries": range(256), "color_trc": range(256), "colorspace": range(256), "color_range": range(4)}
KNOWN = (1, 2)
"""BT.709, and nothing said, for each of the fields."""


def picture(pixel_format: str = "yuv420p") -> VideoFrame:
    return VideoFrame.from_ndarray(numbered_pictures(90)[85]).reformat(format=pixel_format)


def converted(frame: VideoFrame) -> np.ndarray:
    return PictureConverter(64, 128, "h264").convert(frame)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p10le", "gbrp", "gray"])
@pytest.mark.parametrize("field", FIELDS)
def test_every_number_is_converted(field: str, pixel_format: str):
    plain = picture(pixel_format)
    expected = converted(plain)

    for number in FIELDS[field]:
        frame = picture(pixel_format)
        setattr(frame, field, number)
        pixels = converted(frame)
        assert pixels.shape == expected.shape
        if field in {"color_primaries", "color_trc"} and number not in HDR:
            assert np.array_equal(pixels, expected)


@pytest.mark.parametrize("field", ["color_primaries", "color_trc", "colorspace"])
def test_reserved_zero_and_logarithmic_numbers_are_unknown(field: str):
    for number in range(256):
        frame = picture()
        setattr(frame, field, number)
        if number in KNOWN:
            assert has_known_colours(frame)
        if number in {0, 3} or number > 22 or (field, number) in {("color_trc", 9), ("color_trc", 10)}:
            assert not has_known_colours(frame)


def with_zero_colours(prores: bytes) -> bytes:
    """ProRes pictures whose three numbers of colour are 0: not known."""
    changed, at = bytearray(prores), prores.find(b"icpf")
    while at >= 0:
        changed[at + 18 : at + 21] = bytes(3)
        at = prores.find(b"icpf", at + 1)
    return bytes(changed)


def with_colr(mp4: bytes, number: int) -> bytes:
    """An MP4 whose box `colr` names primaries, transfer and matrix by this number."""
    at = mp4.rindex(b"nclx") + 4
    return mp4[:at] + 3 * number.to_bytes(2, "big") + mp4[at + 6 :]


@pytest.fixture
def unknown(clips: ClipStore, tmp_path: Path) -> dict[str, Path]:
    log = clips.encode("logarithmic.mp4", f"{H264} -color_trc log", numbered_pictures(10))
    prores = clips.encode("known.mov", "-c:v prores_ks -profile:v 0", numbered_pictures(10))
    colr = "-c:v mpeg4 -color_primaries bt709 -color_trc bt709 -colorspace bt709 -movflags write_colr"
    mpeg4 = clips.encode("known.mp4", colr, numbered_pictures(10))
    av1_options = "-c:v libsvtav1 -svtav1-params lp=1 -preset 12 -pix_fmt yuv420p"
    av1_numbers = "color_primaries=3:transfer_characteristics=3:matrix_coefficients=3"
    av1 = clips.encode("reserved.mkv", f"{av1_options} -bsf:v av1_metadata={av1_numbers}", numbered_pictures(10))
    paths = {"log": log, "prores": tmp_path / "zero.mov", "av1": av1}
    paths["prores"].write_bytes(with_zero_colours(prores.read_bytes()))
    for number in (0, 3):
        paths[f"colr {number}"] = tmp_path / f"colr-{number}.mp4"
        paths[f"colr {number}"].write_bytes(with_colr(mpeg4.read_bytes(), number))
    return paths


def adjustments(info: VideoInfo) -> tuple[str, ...]:
    budget = Budget(768, 12_288, 128, 768, Fraction(1))
    return plan_video(info, ChunkLength(60, 2), 2, budget).adjustments


def test_files_with_unknown_colours_are_decoded_and_the_plan_says_so(unknown: dict[str, Path], clips: ClipStore):
    for name, path in unknown.items():
        info = probed(path)
        assert info.notices == ("unknown_colours",), name
        assert adjustments(info)[0] == NOTICES["unknown_colours"]
        assert len(decode_all_packets(path, order_for(path, info.fps)).pixels) == 10
    assert probed(clips.clip("h264.mp4").path).notices == ()


def test_a_video_whose_first_picture_cannot_be_converted_is_refused(clips: ClipStore, monkeypatch: pytest.MonkeyPatch):
    path = clips.clip("h264.mp4").path

    def fail(*_arguments: object) -> None:
        raise ValueError

    monkeypatch.setattr(PictureConverter, "convert", fail)
    assert probe(str(path)) == Refusal.NOT_CONVERTIBLE


def test_matrix_numbers_that_h264_reserves_are_not_said(clips: ClipStore, tmp_path: Path):
    path = tmp_path / "reserved.mp4"
    numbers = "colour_primaries=30:transfer_characteristics=30:matrix_coefficients=30"
    ffmpeg("-i", clips.clip("h264.mp4").path, "-c", "copy", "-bsf:v", f"h264_metadata={numbers}", path)
    assert probed(path).notices == ()
