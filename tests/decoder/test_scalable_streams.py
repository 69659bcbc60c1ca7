"""Of a picture that is coded in several layers of growing size the largest one is shown."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from clips import HEIGHT_PX, WIDTH_PX, ClipStore, number_in, numbered_pictures
from decoding import decode_needed_packets, order_for, probed
from encoded_packets import packets_of
from remux import copy_packets

VP9 = "-c:v libvpx-vp9 -cpu-used 8 -b:v 1M -lag-in-frames 0 -auto-alt-ref 0 -pix_fmt yuv420p"
SIZE_BYTES = 4


def superframe(frames: list[bytes]) -> bytes:
    """One packet of several frames, VP9 bitstream specification 0.6, annex B."""
    marker = bytes([0b110 << 5 | SIZE_BYTES - 1 << 3 | len(frames) - 1])
    sizes = b"".join(len(frame).to_bytes(SIZE_BYTES, "little") for frame in frames)
    return b"".join(frames) + marker + sizes + marker


@pytest.fixture
def layered(clips: ClipStore, tmp_path: Path) -> Path:
    """A small picture of one colour and a large one at each time; every fifth time both are keyframes."""
    grey = numbered_pictures()[:, ::2, ::2] // 2 * 0 + 128
    lower = packets_of(clips.encode("lower.webm", f"{VP9} -g 5 -keyint_min 5", grey))
    higher = clips.encode("higher.webm", f"{VP9} -g 1", numbered_pictures())
    return copy_packets(higher, tmp_path / "layers.webm", lambda number, packet: superframe([lower[number], packet]))


@pytest.mark.parametrize("start", [0, 31])
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_the_highest_layer_is_shown(threads: int, start: int, layered: Path):
    order = replace(order_for(layered, Fraction(25), start), threads=threads)

    decoded = decode_needed_packets(layered, order)

    assert [number_in(picture) for picture in decoded.pixels] == [*range(start, 75)]
    assert (probed(layered).width_px, probed(layered).height_px) == (WIDTH_PX, HEIGHT_PX)


def test_the_highest_layer_of_keyframes_is_shown(layered: Path):
    order = replace(order_for(layered, Fraction(5)), keyframes_only=True)

    decoded = decode_needed_packets(layered, order)

    assert [number_in(picture) for picture in decoded.pixels] == [*range(0, 75, 5)]
