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


PAIRS = {
    "vp9": "-c:v libvpx-vp9 -cpu-used 8 -b:v 2M -lag-in-frames 0 -auto-alt-ref 0 -g 2 -keyint_min 2 -pix_fmt yuv420p",
    "av1": "-c:v libaom-av1 -cpu-used 8 -crf 20 -b:v 0 -lag-in-frames 0 -g 2 -keyint_min 2 -pix_fmt yuv420p",
}
"""ffmpeg's options for a keyframe and a picture that refers to it, in turn."""


@pytest.fixture(params=PAIRS)
def predicted_layers(request: pytest.FixtureRequest, clips: ClipStore, tmp_path: Path) -> Path:
    """A keyframe of one colour, and at the same time and in the same packet a picture that is decoded from it."""
    pictures = numbered_pictures().repeat(2, axis=0)
    pictures[::2] = 128
    source = clips.encode(f"pairs-{request.param}.mkv", PAIRS[request.param], pictures)
    packets = packets_of(source)
    assert len(packets) == len(pictures)

    def edit(number: int, packet: bytes) -> bytes | None:
        both = [packet, *packets[number + 1 : number + 2]]
        joined = superframe(both) if request.param == "vp9" else b"".join(both)
        return None if number % 2 else joined

    return copy_packets(source, tmp_path / "predicted.mkv", edit)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("keyframes_only", [False, True])
def test_a_layer_that_is_decoded_from_a_lower_one_is_shown(
    predicted_layers: Path, threads: int, *, keyframes_only: bool
):
    order = replace(order_for(predicted_layers, Fraction(25, 2)), threads=threads, keyframes_only=keyframes_only)

    decoded = decode_needed_packets(predicted_layers, order)

    assert [number_in(picture) for picture in decoded.pixels] == [*range(75)]
