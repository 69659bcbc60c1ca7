"""Sound files of rarer kinds: nothing is wrong with them, and they are read whole."""

import re
import struct
from dataclasses import replace
from functools import partial

from clips import RATE_FPS, numbered_pictures
from foreign.case import Foreign, Part, Right, whole
from foreign.late_streams import FLV_HEADER_BYTES, flv_tags
from foreign.media import (
    AV1,
    H264,
    HEVC,
    HEVC_ANY_CONTAINER,
    MPEG2,
    REFRESH,
    VP9,
    encoded_with_times,
    film,
    repacked,
)

TS_PACKET_BYTES = 188
PAT_PID, PMT_PID, VIDEO_PID = 0, 0x1000, 0x100
NO_B = H264.replace("-bf 2", "-bf 0")
OPEN_HEVC = HEVC_ANY_CONTAINER.replace(
    "keyint=50", "keyint=24:min-keyint=24:scenecut=0:bframes=3:b-adapt=0:b-pyramid=1:open-gop=1"
)
FIRST_RECORDED = 66
PROGRAM = f"{MPEG2} -b:v 3M -minrate 3M -maxrate 3M -bufsize 240k -f vob"
"""Each picture is larger than a pack, and so has a time of its own."""
VCD = "-c:v mpeg1video -b:v 1150k -minrate 1150k -maxrate 1150k -bufsize 327680 -g 15 -bf 2 -f mpeg"
VCD_DATA_BYTES = 2324
"""Of a sector of 2352 bytes (form 2 of the CD-ROM XA standard)."""
PACK_OR_PACKET = re.compile(rb"(?=\x00\x00\x01[\xba\xbb\xbe\xe0])")
LEGACY_HEVC = 12
"""The codec id that many streaming servers use for HEVC, which FLV has none for."""
VIDEO_TAG, CODED_FRAMES = 9, 1
LEGACY_KINDS = {0: 0, CODED_FRAMES: 1, 2: 2, 3: 1}
"""Configuration, pictures, end, and pictures without a composition time offset."""


def runt_interval() -> bytes:
    """The first picture lasts 3 ms, as after an edit in copy mode."""
    times_s = (0.0, *(0.003 + 0.04 * number for number in range(99)))
    return encoded_with_times("a.mp4", "libx264", {"bf": "0", "preset": "veryfast"}, numbered_pictures(100), times_s,
                              0.077)  # fmt: skip


def all_sync(options: str) -> bytes:
    """An MP4 without its list of keyframes, so that every picture counts as one (ISO/IEC 14496-12, 8.6.2)."""
    content = film("a.mp4", options)
    assert content.count(b"stss") == 1
    return content.replace(b"stss", b"free")


def without_tables(pids: tuple[int, ...]) -> bytes:
    """A transport stream that nothing announces."""
    content = film("a.ts")
    packets = [content[at : at + TS_PACKET_BYTES] for at in range(0, len(content), TS_PACKET_BYTES)]
    kept = [packet for packet in packets if (packet[1] & 0x1F) << 8 | packet[2] not in pids]
    assert len(kept) < len(packets)
    return b"".join(kept)


def joined_midway(options: str) -> bytes:
    """A transport stream of 200 pictures of which the first ones are missing."""
    content = film("a.ts", options, num_pictures=200)
    packets = [content[at : at + TS_PACKET_BYTES] for at in range(0, len(content), TS_PACKET_BYTES)]
    begins = [at for at, packet in enumerate(packets) if packet[1] == 0x40 | VIDEO_PID >> 8 and packet[2] == 0]
    return b"".join(packets[begins[FIRST_RECORDED] :])


def from_picture(number: int) -> Right:
    """All that comes after a film was joined is shown from its first whole picture on."""
    start_s = (number - FIRST_RECORDED) / RATE_FPS
    return Right((Part(start_s, (200 - FIRST_RECORDED) / RATE_FPS, number),), num_pictures=200 - number)


def network_recorder() -> bytes:
    """A program stream behind 40 bytes of another kind, as network video recorders write it."""
    return b"IMKH" + bytes(36) + film("a.mpg", PROGRAM)


def video_cd() -> bytes:
    """The sectors of a Video CD in a RIFF file."""
    program = film("a.mpg", VCD)
    sectors = [piece for piece in re.split(PACK_OR_PACKET, program) if piece]
    assert max(map(len, sectors)) <= VCD_DATA_BYTES
    sync = b"\0" + b"\xff" * 10 + b"\0"
    raw = b"".join(sync + bytes(12) + sector.ljust(VCD_DATA_BYTES, b"\0") + bytes(4) for sector in sectors)
    header = b"fmt " + struct.pack("<I", 16) + bytes(16) + b"data" + struct.pack("<I", len(raw))
    return b"RIFF" + struct.pack("<I", 4 + len(header) + len(raw)) + b"CDXA" + header + raw


def hevc_flv() -> bytes:
    """HEVC in FLV under its own name, as Enhanced RTMP has it."""
    return repacked("a.flv", film("a.mp4", HEVC), lambda _, packet: packet)


def legacy_hevc_flv() -> bytes:
    """HEVC in FLV under a number of its own, and otherwise like H.264."""
    flv = hevc_flv()
    return flv[:FLV_HEADER_BYTES] + b"".join(map(_legacy, flv_tags(flv)))


def _legacy(tag: bytes) -> bytes:
    """The old form of a tag; none of one that has no old form."""
    if tag[0] != VIDEO_TAG:
        return tag
    assert tag[12:16] == b"hvc1"
    kind = tag[11] & 15
    if kind not in LEGACY_KINDS:
        return b""
    head_bytes = 19 if kind == CODED_FRAMES else 16
    offset = tag[16:head_bytes] or bytes(3)
    body = bytes([tag[11] & 0x70 | LEGACY_HEVC, LEGACY_KINDS[kind]]) + offset + tag[head_bytes:-4]
    fresh = tag[:1] + len(body).to_bytes(3) + tag[4:11] + body
    return fresh + struct.pack(">I", len(fresh))


def avi_without_index() -> bytes:
    """An AVI whose recorder was switched off before it wrote the index."""
    content = film("a.avi", "-c:v mpeg4 -q 3 -g 25 -bf 0")
    return content[: content.rindex(b"idx1")]


def padded(name: str, options: str) -> bytes:
    """A file whose end is filled up with zeros, as on some disks."""
    return film(name, options) + bytes(100_000)


def sized(width_px: int, height_px: int) -> Foreign:
    make = partial(film, "a.mp4", f"-vf scale={width_px}:{height_px} {H264}", num_pictures=25)
    right = Right(duration_s=1, num_pictures=25, size_px=(width_px, height_px))
    return Foreign(f"{width_px}x{height_px}.mp4", KIND, make, right)


KIND = "rare"
FILM = whole(100)
MPEG4 = "-c:v mpeg4 -q 3 -g 25"
CODECS = {"h264": H264, "hevc": HEVC, "av1": AV1, "vp9": VP9, "mpeg4": MPEG4}
INPUTS = [
    Foreign("runt_interval.mp4", KIND, runt_interval, FILM, is_quick=True),
    *(
        Foreign(f"all_sync_{codec}_{sampling}.mp4", KIND, partial(all_sync, options), FILM, sampling=sampling)
        for codec, options in CODECS.items()
        for sampling in ("uniform", "keyframes")
    ),
    Foreign("without_pat.ts", KIND, partial(without_tables, (PAT_PID,)), FILM),
    Foreign("without_pat_and_pmt.ts", KIND, partial(without_tables, (PAT_PID, PMT_PID)), FILM),
    *(
        Foreign(f"intra_refresh_uniform.{container}", KIND, partial(film, f"a.{container}", REFRESH), FILM)
        for container in ("mp4", "mkv", "flv")
    ),
    Foreign("joined_midway.ts", KIND, partial(joined_midway, NO_B), from_picture(100)),
    Foreign("joined_midway_open.ts", KIND, partial(joined_midway, OPEN_HEVC), from_picture(72)),
    Foreign("joined_midway_refresh.ts", KIND, partial(joined_midway, REFRESH), from_picture(114), (
        replace(from_picture(114), status="partial", coverage=(0.8, 0.99)),)),
    Foreign("network_recorder.mpg", KIND, network_recorder, FILM),
    Foreign("video_cd.dat", KIND, video_cd, FILM),
    Foreign("hevc.flv", KIND, hevc_flv, FILM),
    Foreign("legacy_hevc.flv", KIND, legacy_hevc_flv, FILM),
    Foreign("hevc.avi", KIND, partial(film, "a.avi", HEVC.replace("hvc1", "HEVC")), FILM),
    Foreign("without_index.avi", KIND, avi_without_index, FILM),
    *(
        Foreign(f"padded.{container}", KIND, partial(padded, f"a.{container}", options), FILM)
        for container, options in (
            ("mp4", H264), ("mkv", H264), ("webm", VP9), ("ts", H264), ("flv", H264), ("avi", MPEG4), ("mpg", PROGRAM),
        )
    ),
    Foreign("padded_in_order.ts", KIND, partial(padded, "a.ts", NO_B), FILM),
    *(sized(*size_px) for size_px in ((2, 2), (8192, 64), (64, 8192), (16, 16))),
]  # fmt: skip
