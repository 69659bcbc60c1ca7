"""Whatever is damaged in a file, a picture that differs from the whole file's is never passed off as seen."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clips import CONSTANT_RATE, HEVC, X265_THREADS, ClipStore, ffmpeg, numbered_pictures
from decoder.bitstream.h264 import H264
from decoder.container.open import open_video
from decoding import Decoded, decode_needed_packets, order_for
from encoded_packets import packets_of
from protocol import DecodeOrder
from remux import copy_packets

FPS = Fraction(25)
PICTURES = 150
CLOSED_HEVC = HEVC.replace("open-gop=1", "open-gop=0")
ONE_GOP = f"{CONSTANT_RATE['h264.mp4']} -g 1000"
CODECS = {
    "h264": CONSTANT_RATE["h264.mp4"],
    "h264 in one group": ONE_GOP,
    "h264 in open groups": CONSTANT_RATE["h264-open-gop.mp4"],
    "hevc": HEVC,
    "hevc in closed groups": CLOSED_HEVC,
    "vp9": CONSTANT_RATE["vp9.webm"],
    "vp8": CONSTANT_RATE["vp8.webm"],
    "av1": CONSTANT_RATE["av1.mp4"],
    "mpeg4": CONSTANT_RATE["mpeg4.mp4"],
    "mpeg2": CONSTANT_RATE["mpeg2.ts"],
}
CONTAINERS = {
    "mp4": ["h264", "h264 in one group", "h264 in open groups", "hevc", "hevc in closed groups", "vp9", "av1", "mpeg4"],
    "mkv": [*CODECS],
    "ts": ["h264", "h264 in one group", "h264 in open groups", "hevc", "hevc in closed groups", "mpeg4", "mpeg2"],
    "flv": ["h264"],
    "avi": ["h264", "mpeg4"],
    "mpg": ["mpeg2"],
}
FILES = [(codec, container) for container, codecs in CONTAINERS.items() for codec in codecs]
assert X265_THREADS in HEVC


def made(codec: str, container: str, clips: ClipStore) -> Path:
    name = f"damage-{codec}.{container}".replace(" ", "-")
    return clips.encode(name, f"{CODECS[codec]} -g {1000 if codec.endswith('one group') else 30}", noisy_pictures())


def noisy_pictures() -> np.ndarray:
    """Pictures of which none is like another, and which take some bytes to encode."""
    noise = np.random.default_rng(8).integers(-40, 40, (PICTURES, 128, 256, 1))
    return (numbered_pictures(PICTURES).astype(int) + noise).clip(0, 255).astype(np.uint8)


def with_hole(path: Path, kind: str) -> Path:
    """A fifth of the pictures' bytes, in the middle, are zeros or noise."""
    content = bytearray(path.read_bytes())
    start, size_bytes = 0, len(content)
    if path.suffix == ".mp4":
        start = content.index(b"mdat") + 4
        size_bytes = int.from_bytes(content[start - 8 : start - 4], "big") - 8
    hole = slice(start + size_bytes * 4 // 10, start + size_bytes * 6 // 10)
    length = hole.stop - hole.start
    content[hole] = bytes(length) if kind == "zeros" else np.random.default_rng(9).bytes(length)
    damaged = path.with_stem(f"{path.stem}-{kind}")
    damaged.write_bytes(content)
    return damaged


def order_of_all(path: Path, count: int = PICTURES) -> DecodeOrder:
    """All instants of the whole clip, however much of it is left."""
    return replace(order_for(path, FPS), stop=count)


def by_instant(decoded: Decoded) -> dict[int, tuple[bytes, bool]]:
    """What is shown at each instant of the order, and whether it is said not to be what was to be seen."""
    return {
        index: (pixels.tobytes(), is_unseen)
        for (first, stop, _), pixels, is_unseen in zip(decoded.shown, decoded.pixels, decoded.unseen, strict=True)
        for index in range(first, stop)
    }


@pytest.mark.parametrize("kind", ["zeros", "noise"])
@pytest.mark.parametrize(("codec", "container"), FILES)
def test_no_picture_that_differs_from_the_whole_file_counts_as_seen(
    codec: str, container: str, kind: str, clips: ClipStore
):
    whole = made(codec, container, clips)
    expected = by_instant(decode_needed_packets(whole, order_of_all(whole)))
    damaged = with_hole(whole, kind)
    order = order_of_all(damaged)
    shift = round((order.info.start_s - order_for(whole, FPS).info.start_s) * FPS)

    shown = {index + shift: seen for index, seen in by_instant(decode_needed_packets(damaged, order)).items()}

    assert len(expected) == PICTURES
    assert not any(is_unseen for _, is_unseen in expected.values())
    differs = {index for index, (pixels, _) in expected.items() if shown.get(index, (b"", True))[0] != pixels}
    unseen = {index for index in expected if shown.get(index, (b"", True))[1]}
    assert len(differs) >= PICTURES // 6
    assert differs <= unseen
    assert len(unseen - differs) <= PICTURES // 4, "more than what is decoded from the next picture that may be wrong"


@pytest.mark.parametrize("kind", ["zeros", "noise"])
@pytest.mark.parametrize(
    ("codec", "container"),
    [("h264", "mp4"), ("hevc", "mp4"), ("h264", "mkv"), ("vp8", "mkv"), ("av1", "mkv"), ("h264", "flv")],
)
def test_damage_in_a_part_of_a_joined_film_is_told(codec: str, container: str, kind: str, clips: ClipStore):
    part = made(codec, container, clips)
    whole = clips.write(f"damage-joined-{codec}-{kind}.{container}", part.read_bytes() * 2)
    expected = by_instant(decode_needed_packets(whole, order_of_all(whole, 2 * PICTURES)))
    damaged = with_hole(part, kind)
    damaged.write_bytes(part.read_bytes() + damaged.read_bytes())
    order = order_of_all(damaged, 2 * PICTURES)

    shown = by_instant(decode_needed_packets(damaged, order))

    assert order.info.is_joined
    assert len(expected) == 2 * PICTURES
    assert not any(is_unseen for _, is_unseen in expected.values())
    differs = {index for index, (pixels, _) in expected.items() if shown.get(index, (b"", True))[0] != pixels}
    unseen = {index for index in expected if shown.get(index, (b"", True))[1]}
    assert len(differs) >= PICTURES // 6
    assert differs <= unseen
    assert len(unseen - differs) <= PICTURES // 4


UNTOLD = {"h264": 0.1, "mpeg4": 0.5, "mpeg2": 0.6}
"""The share of wrong pictures in which the decoders find nothing wrong."""


@pytest.mark.parametrize("codec", UNTOLD)
def test_flipped_bits_are_told_by_codecs_that_check_what_they_decode(codec: str, clips: ClipStore):
    """The decoders of HEVC, VP8, VP9 and AV1 decode most wrong bits to wrong pictures and notice nothing."""
    whole = made(codec, "ts", clips)
    expected = by_instant(decode_needed_packets(whole, order_of_all(whole)))
    content = bytearray(whole.read_bytes())
    for at in np.random.default_rng(7).integers(len(content) // 4, len(content), 60):
        content[at] ^= 16
    damaged = whole.with_stem(f"{codec}-flipped")
    damaged.write_bytes(content)

    shown = by_instant(decode_needed_packets(damaged, order_of_all(damaged)))

    differs = {index for index, (pixels, _) in expected.items() if shown.get(index, (b"", True))[0] != pixels}
    unseen = {index for index in expected if shown.get(index, (b"", True))[1]}
    assert len(differs) >= PICTURES // 4
    assert len(differs - unseen) <= len(differs) * UNTOLD[codec]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "flv"])
@pytest.mark.parametrize("nth_reference", [4, 20, 40])
def test_a_reference_picture_of_h264_that_was_lost_before_the_file_was_written_is_missed(
    nth_reference: int, container: str, clips: ClipStore, tmp_path: Path
):
    """Recorders of networks write what arrives; libav's decoder goes on with another picture and says nothing."""
    whole = made("h264", container, clips)
    with open_video(str(whole)) as opened:
        parser = H264(opened.streams.video[0].codec_context.extradata or b"")
    references = [number for number, packet in enumerate(packets_of(whole)) if parser.parse(packet).refresh_slots]
    lost = references[nth_reference]
    path = copy_packets(whole, tmp_path / whole.name, lambda number, packet: packet if number != lost else None)

    expected, shown = (by_instant(decode_needed_packets(file, order_of_all(file))) for file in (whole, path))

    differs = {index for index, (pixels, _) in expected.items() if shown.get(index, (b"", True))[0] != pixels}
    assert differs
    assert differs <= {index for index in expected if shown.get(index, (b"", True))[1]}


PAUSES = {
    "screen-recording.mkv": "-vf settb=1/1000,setpts=1000*N*(N+1)/2 -fps_mode passthrough -enc_time_base 1/1000",
    "screen-recording.webm": "-vf settb=1/1000,setpts=1000*N*(N+1)/2 -fps_mode passthrough -enc_time_base 1/1000",
    "screen-recording.mp4": "-vf settb=1/1000,setpts=1000*N*(N+1)/2 -fps_mode passthrough -enc_time_base 1/1000",
    "pause.ts": "-vf settb=1/1000,setpts=40*N+5000*gt(N\\,5) -fps_mode passthrough -enc_time_base 1/1000",
    "pause.flv": "-vf settb=1/1000,setpts=40*N+5000*gt(N\\,5) -fps_mode passthrough -enc_time_base 1/1000",
    "pause.mpg": "-vf settb=1/25,setpts=N+15*gt(N\\,5) -fps_mode passthrough -enc_time_base 1/25 -f vob",
}


@pytest.mark.parametrize("name", PAUSES)
@pytest.mark.parametrize("sound", ["", "-f lavfi -i sine=d=40"])
def test_pauses_between_pictures_are_no_losses(name: str, sound: str, clips: ClipStore, tmp_path: Path):
    codec = CONSTANT_RATE["vp8.webm" if name.endswith("webm") else "mpeg2.ts" if name.endswith("mpg") else "h264.mp4"]
    silent = clips.encode(name, f"{PAUSES[name]} {codec}", numbered_pictures(9))
    path = tmp_path / name
    maps = ["-map", "0", "-map", "1"] if sound else []
    ffmpeg("-i", silent, *sound.split(), *maps, "-c:v", "copy", *(["-shortest"] if sound else []), "-bitexact", path)

    decoded = decode_needed_packets(path, order_for(path, FPS))

    assert decoded.shown
    assert decoded.damaged == 0


def test_a_fragmented_file_that_cannot_be_read_after_a_place_is_cut_off_there(clips: ClipStore):
    whole = clips.encode(
        "damage-fragments.mp4", f"{CODECS['h264']} -g 15 -movflags frag_keyframe+empty_moov", noisy_pictures()
    )
    content = bytearray(whole.read_bytes())
    middle = content.index(b"moof", len(content) // 2)
    content[middle - 4 : middle + 200] = bytes(204)
    path = whole.with_stem("fragments-damaged")
    path.write_bytes(content)

    assert not order_for(whole, FPS).info.truncated
    assert order_for(path, FPS).info.truncated
