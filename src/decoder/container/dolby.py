"""Dolby Vision's configuration, which libav reads and PyAV does not hand on.

Its record is that of "Dolby Vision Streams Within the ISO Base Media File Format", 3.2. Matroska holds the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BOXES = (b"dvcC", b"dvvC")
RECORD_BYTES = 5
EXTRA_DATA_ID = b"\x41\xed"
"""Matroska's BlockAddIDExtraData."""
ID_DISTANCE_BYTES = 16
"""More than lies between the type of a block addition and its extra data."""
PROFILES_WITHOUT_BASE_LAYER = frozenset([5, 10])
"""If nothing is compatible with them: their pictures are IPT-PQ-c2."""
MAX_HEADER_BYTES = 2**26
MATROSKA_HEADER_BYTES = 2**20
LARGE_SIZE, TO_THE_END = 1, 0
"""Values of a box's size of 32 bits: 64 more bits hold it, or it ends with the file."""


def lacks_base_layer(path: Path, start_byte: int, container: str) -> bool:
    """Whether a file's pictures are Dolby Vision's own kind of colours, which no other decoder understands.

    Args:
        path: local file.
        start_byte: where the file begins within it.
        container: its name in libav.
    """
    with path.open("rb") as file:
        file.seek(start_byte)
        if "matroska" in container:
            return any(map(_is_without_base_layer, _matroska_records(file.read(MATROSKA_HEADER_BYTES))))
        if "mp4" in container:
            return any(map(_is_without_base_layer, _mp4_records(_movie_header(file))))
    return False


def _is_without_base_layer(record: bytes) -> bool:
    profile, compatibility = record[2] >> 1, record[4] >> 4
    return profile in PROFILES_WITHOUT_BASE_LAYER and compatibility == 0


def _mp4_records(header: bytes) -> Iterator[bytes]:
    for box in BOXES:
        at = header.find(box)
        if 0 <= at <= len(header) - len(box) - RECORD_BYTES:
            yield header[at + len(box) :][:RECORD_BYTES]


def _matroska_records(header: bytes) -> Iterator[bytes]:
    for box in BOXES:
        at = header.find(box)
        extra_at = header.find(EXTRA_DATA_ID, at, at + ID_DISTANCE_BYTES) if at >= 0 else -1
        record = header[extra_at + len(EXTRA_DATA_ID) + 1 :][:RECORD_BYTES]  # behind its size, of one byte
        if extra_at >= 0 and len(record) == RECORD_BYTES:
            yield record


def _movie_header(file: BinaryIO) -> bytes:
    """The content of an MP4's `moov` box, up to MAX_HEADER_BYTES; empty if there is none."""
    while len(head := file.read(8)) == 8:  # noqa: PLR2004  # size and type
        size, header_bytes = int.from_bytes(head[:4], "big"), 8
        if size == LARGE_SIZE:
            size, header_bytes = int.from_bytes(file.read(8), "big"), 16
        if head[4:] == b"moov":
            return file.read(min(max(0, size - header_bytes), MAX_HEADER_BYTES))
        if size == TO_THE_END or size < header_bytes:
            break
        file.seek(size - header_bytes, 1)
    return b""
