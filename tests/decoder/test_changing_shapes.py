"""Pictures that change their shape midway keep it, and those that a message turns are upright until it ends."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clips import HEIGHT_PX, WIDTH_PX, ClipStore, ffmpeg, number_in, numbered_pictures
from decoding import decode_needed_packets, order_for, probed
from remux import join_packets

VP9 = "-c:v libvpx-vp9 -cpu-used 8 -b:v 1M -g 10 -pix_fmt yuv420p"
H264 = "-c:v libx264 -preset veryfast -g 10 -bf 2 -sc_threshold 0 -pix_fmt yuv420p"
BOTH_FPS = Fraction(25)


def columns_with_picture(picture: np.ndarray) -> int:
    """How many columns are not black from top to bottom."""
    return int((picture.max(axis=(0, 2)) > 40).sum())


def as_transport_stream(path: Path) -> bytes:
    return ffmpeg("-i", path, "-c", "copy", "-f", "mpegts", "pipe:")


@pytest.fixture
def turning(clips: ClipStore, tmp_path: Path) -> Path:
    """20 pictures of 256x128, 20 of 128x256, 20 of 128x64."""
    pictures = numbered_pictures(60)
    wide = clips.encode("wide.webm", VP9, pictures[:20])
    tall = clips.encode("tall.webm", f"{VP9} -vf scale=128:256:flags=neighbor", pictures[20:40])
    small = clips.encode("small.webm", f"{VP9} -vf scale=128:64:flags=neighbor", pictures[40:])
    return join_packets([wide, tall, small], tmp_path / "turning.webm")


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_a_picture_of_another_shape_has_bars_and_one_of_another_size_fills_the_frame(threads: int, turning: Path):
    order = replace(order_for(turning, BOTH_FPS), threads=threads)

    decoded = decode_needed_packets(turning, order)

    pictures = decoded.pixels
    assert len(pictures) == 60
    assert {columns_with_picture(picture) for picture in pictures[:20] + pictures[40:]} == {WIDTH_PX}
    tall_px = HEIGHT_PX // 2
    left = (WIDTH_PX - tall_px) // 2
    for number, picture in enumerate(pictures[20:40], 20):
        assert abs(columns_with_picture(picture) - tall_px) <= 2
        assert number_in(picture[:, left : left + tall_px]) == number
    assert [number_in(picture) for picture in pictures[40:]] == [*range(40, 60)]


def test_a_picture_that_a_message_turns_is_upright_until_the_next_keyframe(clips: ClipStore, tmp_path: Path):
    """Phones that send to a live stream write the message with every keyframe."""
    turned = clips.encode("turned.flv", f"{H264} -vf transpose=cclock", numbered_pictures(40))
    for container in ("flv", "ts"):
        path = tmp_path / f"message.{container}"
        ffmpeg("-i", turned, "-c", "copy", "-bsf:v", "h264_metadata=display_orientation=insert:rotate=270", path)

        info = probed(path)
        assert (info.width_px, info.height_px, info.rotation_deg) == (WIDTH_PX, HEIGHT_PX, 90)
        for start in (0, 17):
            for threads in (1, 2, 16):
                order = replace(order_for(path, BOTH_FPS, start), threads=threads)
                decoded = decode_needed_packets(path, order)
                assert [number_in(picture) for picture in decoded.pixels] == [*range(start, 40)]


def test_a_turn_ends_with_a_keyframe_of_another_size_that_does_not_repeat_it(clips: ClipStore, tmp_path: Path):
    turned = clips.encode("turned.flv", f"{H264} -vf transpose=cclock", numbered_pictures(40))
    upright = clips.encode("upright.flv", H264, numbered_pictures(80)[40:])
    message = tmp_path / "message.flv"
    ffmpeg("-i", turned, "-c", "copy", "-bsf:v", "h264_metadata=display_orientation=insert:rotate=270", message)
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(as_transport_stream(part) for part in (message, upright)))

    for threads in (1, 2):
        decoded = decode_needed_packets(path, replace(order_for(path, BOTH_FPS), threads=threads))
        assert [number_in(picture) for picture in decoded.pixels] == [*range(80)]
