"""Files of which a part was never written, was overwritten, or was changed: what is lost is not called seen."""

import struct
from functools import partial
from typing import Literal

import numpy as np

from clips import numbered_pictures
from foreign.case import Foreign, Part, Right, whole
from foreign.media import AV1, H264, HEVC, MPEG2, REFRESH, VP8, VP9, encoded, film

NUM_PICTURES = 200
SEED = 18
FLIPPED_BITS = 60
DAMAGED = Right((Part(0, 8, 0),), "partial", (0.5, 0.97))
"""A fifth of the pictures is lost, and what refers to them until the next keyframe: 40 % at most."""
Damage = Literal["zeros", "noise", "bits"]
CODECS = {"h264": H264, "hevc": HEVC, "vp9": VP9, "av1": AV1, "mpeg2": MPEG2, "vp8": VP8}


def damaged(name: str, options: str, damage: Damage) -> bytes:
    """A fifth in the middle of the pictures' bytes, or some bits there, are others."""
    content = bytearray(film(name, options, num_pictures=NUM_PICTURES))
    start, size_bytes = _pictures_place(bytes(content))
    low, high = start + size_bytes * 4 // 10, start + size_bytes * 6 // 10
    generator = np.random.default_rng(SEED)
    match damage:
        case "zeros":
            content[low:high] = bytes(high - low)
        case "noise":
            content[low:high] = generator.bytes(high - low)
        case "bits":
            for place in generator.integers(low, high, FLIPPED_BITS):
                content[place] ^= 1 << int(generator.integers(8))
    return bytes(content)


def _pictures_place(content: bytes) -> tuple[int, int]:
    """The first byte and the number of the bytes that hold the pictures: an MP4's media data, or the whole file."""
    if content[4:8] != b"ftyp":
        return 0, len(content)
    at = content.index(b"mdat")
    return at, struct.unpack_from(">I", content, at - 4)[0]


def dropped_packets() -> bytes:
    """A transport stream that lost a second of its packets on the way."""
    content = film("a.ts", num_pictures=NUM_PICTURES)
    packets = [content[at : at + 188] for at in range(0, len(content), 188)]
    return b"".join(packets[: len(packets) * 4 // 10] + packets[len(packets) * 6 // 10 :])


def still(name: str, options: str) -> bytes:
    """One picture for the whole time: nothing is wrong with the file."""
    return encoded(name, options, np.repeat(numbered_pictures(8)[7:], 100, axis=0))


STILL = Right((Part(0, 4, 7, 0),), duration_s=4, num_pictures=100)
KIND = "hole"
INPUTS = [
    *(
        Foreign(f"zeros_{codec}.mp4", KIND, partial(damaged, "a.mp4", CODECS[codec], "zeros"), DAMAGED,
                is_quick=codec in ("h264", "hevc"))
        for codec in ("h264", "hevc", "vp9", "av1")
    ),
    *(
        Foreign(f"{damage}_{codec}.mp4", KIND, partial(damaged, "a.mp4", CODECS[codec], damage), DAMAGED)
        for damage in ("noise", "bits")
        for codec in ("h264", "hevc", "vp9", "av1")
    ),
    Foreign("zeros_h264.mkv", KIND, partial(damaged, "a.mkv", H264, "zeros"), DAMAGED),
    Foreign("zeros_h264.ts", KIND, partial(damaged, "a.ts", H264, "zeros"), DAMAGED),
    Foreign("zeros_h264.flv", KIND, partial(damaged, "a.flv", H264, "zeros"), DAMAGED),
    Foreign("zeros_mpeg2.ts", KIND, partial(damaged, "a.ts", MPEG2, "zeros"), DAMAGED),
    Foreign("zeros_vp8.webm", KIND, partial(damaged, "a.webm", VP8, "zeros"), DAMAGED),
    Foreign("zeros_vp9.webm", KIND, partial(damaged, "a.webm", VP9, "zeros"), DAMAGED),
    Foreign("zeros_h264_refresh.mp4", KIND, partial(damaged, "a.mp4", REFRESH, "zeros"), DAMAGED),
    Foreign("dropped_packets.ts", KIND, dropped_packets, DAMAGED),
    *(
        Foreign(f"still_{codec}.{container}", "still", partial(still, f"a.{container}", CODECS[codec]), STILL,
                is_quick=codec == "h264" and container == "mp4")
        for codec, container in (("h264", "mp4"), ("hevc", "mp4"), ("vp9", "webm"), ("av1", "mkv"), ("h264", "ts"))
    ),
    Foreign("sound_film.mp4", "still", partial(film, "a.mp4", H264), whole(100)),
]  # fmt: skip
