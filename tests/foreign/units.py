"""How coded pictures lie in packets, and what a decoder keeps from earlier ones."""

import struct
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Literal

import numpy as np

from bit_writer import BitWriter
from clips import RATE_FPS, X265_THREADS, numbered_pictures
from foreign.case import Foreign, Part, Right, whole
from foreign.matroska import matroska
from foreign.media import H264, film, packets_with_times, remuxed, repacked
from foreign.paff import field_pair, parameter_sets
from remux import join_units, split_units

START = b"\0\0\0\1"
WITH_DELIMITERS = f"{H264.replace('-g 50', '-g 25')} -x264-params aud=1"
SLICE, KEY_SLICE, SVC_PREFIX = 1, 5, 14
HEVC_BLA, HEVC_CRA, HEVC_END_OF_SEQUENCE = 16, 21, 36
OPEN_GOP = (
    "-c:v libx265 -preset ultrafast -pix_fmt yuv420p -x265-params keyint=24:min-keyint=24:scenecut=0:bframes=3:"
    f"b-adapt=0:b-pyramid=0:open-gop=1:log-level=error:{X265_THREADS}"
)
OPEN_GOP_PYRAMID = OPEN_GOP.replace("b-pyramid=0", "b-pyramid=1")
MPEG2_CLOSED = "-c:v mpeg2video -q 4 -g 25 -bf 2 -flags +cgop -sc_threshold 1000000000"
MJPEG = "-c:v mjpeg -q 5 -pix_fmt yuvj420p -huffman default"
VP9_KEYFRAMES = "-c:v libvpx-vp9 -cpu-used 8 -deadline realtime -b:v 1M -g 1 -lag-in-frames 0 -pix_fmt yuv420p"
AV1_OPEN = "-c:v libsvtav1 -svtav1-params lp=1:irefresh-type=1 -preset 12 -g 24 -pix_fmt yuv420p"
FIELD_PX = (32, 64)


def nested_units() -> bytes:
    """All units of a packet after start codes within one length, as the slow-motion files of some phones have them."""
    source = film("a.mp4", WITH_DELIMITERS)
    return repacked("a.mp4", source, lambda _, packet: join_units([START.join(split_units(packet))]))


def nested_prefixes() -> bytes:
    """Each slice after an SVC prefix unit (H.264, 7.3.2.12.1) within one length."""

    def edit(_number: int, packet: bytes) -> bytes:
        return join_units(_with_prefix(unit) for unit in split_units(packet))

    return repacked("a.mp4", film("a.mp4", WITH_DELIMITERS), edit)


def _with_prefix(unit: bytes) -> bytes:
    kind, importance = unit[0] & 31, unit[0] & 0x60
    if kind not in (SLICE, KEY_SLICE):
        return unit
    return bytes([SVC_PREFIX | importance, 0x80 | 0x40 * (kind == KEY_SLICE), 0x80, 0x0F]) + START + unit


def empty_unit(place: Literal["before", "after"]) -> bytes:
    """Two start codes in a row, before a slice (there libav loses a picture) or after it."""

    def edit(number: int, packet: bytes) -> bytes:
        if number != 60:
            return packet
        at = packet.rindex(b"\0\0\1") if place == "before" else len(packet)
        return packet[:at] + b"\0\0\1" + packet[at:]

    return repacked("a.ts", film("a.ts", WITH_DELIMITERS), edit)


def hevc_ends_of_sequence(container: str) -> bytes:
    """A unit ends the sequence before each CRA picture, whose leading pictures are not shown then (H.265, 8.1.3)."""
    source = film("a.mp4", OPEN_GOP)
    starts_anew = [any(unit[0] >> 1 == HEVC_CRA for unit in split_units(packet)) for _, _, packet in
                   packets_with_times(source)[1]]  # fmt: skip

    def edit(number: int, packet: bytes) -> bytes:
        is_last = number + 1 < len(starts_anew) and starts_anew[number + 1]
        return packet + join_units([bytes([HEVC_END_OF_SEQUENCE << 1, 1])]) * is_last

    mp4 = repacked("a.mp4", source, edit)
    return mp4 if container == "mp4" else remuxed(f"a.{container}", "-c copy", mp4)


def hevc_broken_links(container: str, options: str) -> bytes:
    """Every CRA picture but the first begins another recording, whose leading pictures are not shown (H.265, 8.1.3)."""

    def edit(number: int, packet: bytes) -> bytes:
        return join_units(
            bytes([unit[0] & 0x81 | HEVC_BLA << 1]) + unit[1:] if number and unit[0] >> 1 == HEVC_CRA else unit
            for unit in split_units(packet)
        )

    mp4 = repacked("a.mp4", film("a.mp4", options), edit)
    return mp4 if container == "mp4" else remuxed(f"a.{container}", "-c copy", mp4)


def mpeg2_matrices(container: str) -> bytes:
    """Quantiser matrices in some B pictures, which hold until the next sequence header (ISO/IEC 13818-2, 6.3.11)."""
    bits = BitWriter().write(3, 4)
    for _intra_or_not in range(2):
        bits.write(1)
        for place in range(64):
            bits.write(40 + place % 7 if place else 8, 8)
    extension = b"\0\0\1\xb5" + bits.write(0, 2).to_bytes()

    def edit(number: int, packet: bytes) -> bytes:
        picture_at = packet.find(b"\0\0\1\0")
        if number % 9 or packet[picture_at + 5] >> 3 & 7 != 3:
            return packet
        slices_at = packet.find(b"\0\0\1\1", picture_at)
        return packet[:slices_at] + extension + packet[slices_at:]

    return repacked(f"a.{container}", film(f"a.{container}", MPEG2_CLOSED), edit)


def tables_once(container: str, markers: tuple[int, ...]) -> bytes:
    """Motion JPEG whose tables stand in the first picture alone (ISO/IEC 10918-1, B.5)."""

    def edit(number: int, packet: bytes) -> bytes:
        if number == 0:
            return packet
        kept, at = packet[:2], 2
        while packet[at + 1] != 0xDA:
            (size_bytes,) = struct.unpack_from(">H", packet, at + 2)
            if packet[at + 1] not in markers:
                kept += packet[at : at + 2 + size_bytes]
            at += 2 + size_bytes
        return kept + packet[at:]

    return repacked(f"a.{container}", film("a.mov", MJPEG), edit)


def vp9_layers() -> bytes:
    """Two pictures of one time in a packet, as conferences record them; the larger one is shown (VP9, annex B)."""
    _, small = packets_with_times(film("a.webm", f"-vf scale=128:64 {VP9_KEYFRAMES}", first=100, num_pictures=50))
    _, large = packets_with_times(film("a.webm", VP9_KEYFRAMES, num_pictures=50))
    blocks = []
    for number, (layers) in enumerate(zip(small, large, strict=True)):
        pictures = [content for _, _, content in layers]
        marker = bytes([0xC0 | 3 << 3 | len(pictures) - 1])
        index = marker + b"".join(struct.pack("<I", len(picture)) for picture in pictures) + marker
        blocks.append((Fraction(number, RATE_FPS), True, b"".join(pictures) + index))
    return matroska("V_VP9", b"", (256, 128), blocks)


def fields(container: str, *, is_delimited: bool = True, are_apart: bool = False) -> bytes:
    """Each picture is coded as two fields, which lie in one packet with one time, or in two."""
    height_px, width_px = FIELD_PX
    sets = parameter_sets(width_px, height_px, RATE_FPS)
    pictures = numbered_pictures(50)[:, 2::4, 2::4]

    def edit(number: int, _packet: bytes) -> list[bytes]:
        pair = field_pair(np.ascontiguousarray(pictures[number]), number, 25, sets, is_delimited=is_delimited)
        return list(pair) if are_apart else [b"".join(pair)]

    source = film("a.ts", H264.replace("-g 50 -bf 2", "-g 25 -bf 0"), num_pictures=50)
    return repacked(f"a.{container}", source, edit)


FILM, SHORT = whole(100), whole(50)


def not_shown(count: int) -> Right:
    """So many pictures at the end of each group are not shown, and the one before them stays."""
    groups = (
        (
            Part(key / 25, (key + 24 - count) / 25, key),
            Part((key + 24 - count) / 25, (key + 24) / 25, key + 23 - count, 0),
        )
        for key in (0, 24, 48, 72)
    )
    return Right((*chain.from_iterable(groups), Part(96 / 25, 4, 96)), duration_s=4)


LEADING_ARE_NOT_SHOWN = not_shown(4)
"""With the three pictures that lead each CRA picture the one before them is lost, which was not shown yet."""
BROKEN_LINKS = not_shown(3)
ONE_IS_LOST = Right(FILM.parts, "partial", (0.8, 0.99), duration_s=4)
UNITS, STATE, LAYERS, FIELDS = "units", "kept state", "layers", "fields"
INPUTS = [
    Foreign("nested_units.mp4", UNITS, nested_units, FILM, sample_fps=5, is_quick=True),
    Foreign("nested_prefixes.mp4", UNITS, nested_prefixes, FILM, sample_fps=5),
    Foreign("empty_unit_after.ts", UNITS, partial(empty_unit, "after"), FILM, sample_fps=5, is_quick=True),
    Foreign("empty_unit_before.ts", UNITS, partial(empty_unit, "before"), FILM, (ONE_IS_LOST,), sample_fps=5),
    *(
        Foreign(f"end_of_sequence.{name}", UNITS, partial(hevc_ends_of_sequence, name), LEADING_ARE_NOT_SHOWN, (
            replace(LEADING_ARE_NOT_SHOWN, status="partial", coverage=(0.7, 0.99)),), sample_fps=sample_fps,
                is_exact=True)
        for name, sample_fps in (("mp4", 5), ("ts", 5), ("mkv", 12.5))
    ),
    *(
        Foreign(f"{word}.{name}", UNITS, partial(hevc_broken_links, name, options), BROKEN_LINKS, (
            replace(BROKEN_LINKS, status="partial", coverage=(0.8, 0.99)),))
        for word, options in (("broken_links", OPEN_GOP), ("broken_links_pyramid", OPEN_GOP_PYRAMID))
        for name in ("mp4", "ts", "mkv")
    ),
    *(
        Foreign(f"mpeg2_matrices.{name}", STATE, partial(mpeg2_matrices, name), FILM, sample_fps=5, is_exact=True)
        for name in ("ts", "mkv")
    ),
    Foreign("mjpeg_tables_once.mov", STATE, partial(tables_once, "mov", (0xC4, 0xDB)), FILM, sample_fps=5,
            is_exact=True, is_quick=True),
    Foreign("mjpeg_tables_once.mkv", STATE, partial(tables_once, "mkv", (0xC4, 0xDB)), FILM, sample_fps=5,
            is_exact=True),
    Foreign("mjpeg_huffman_once.mov", STATE, partial(tables_once, "mov", (0xC4,)), FILM, sample_fps=5, is_exact=True),
    Foreign("av1_open.mkv", STATE, partial(film, "a.mkv", AV1_OPEN), FILM, sample_fps=5, is_exact=True),
    Foreign("av1_open.mp4", STATE, partial(film, "a.mp4", AV1_OPEN), FILM, sample_fps=5, is_exact=True),
    Foreign("vp9_layers.mkv", LAYERS, vp9_layers, SHORT, is_quick=True),
    *(
        Foreign(f"fields_{word}.{name}", FIELDS, partial(fields, name, **options), replace(SHORT, size_px=(64, 32)),
                is_quick=word == "apart")
        for word, name, options in (
            ("apart", "ts", {"are_apart": True}),
            ("together", "ts", {}),
            ("undelimited", "ts", {"is_delimited": False}),
        )
    ),
]  # fmt: skip
