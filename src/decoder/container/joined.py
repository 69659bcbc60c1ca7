"""Finds the files of which a file was put together: where each begins and ends.

`cat a.webm b.webm` and recorders that start again write such files. libav reads the first of them, or mixes the clocks
of all. A file inside the file is recognised by its header. Transport and program streams need no search: two in
sequence are one stream again.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final

from decoder.container.ebml import EBML_MAGIC, UNKNOWN_SIZE, segment_end
from decoder.container.formats import ASF, AVI, FLV, MATROSKA, MP4, OGG

READ_BYTES = 2**23
LONGEST_HEADER_BYTES = 4096
"""As much as is read to tell a header from bytes that look like one."""
BOX, LARGE_BOX = struct.Struct(">I4s"), struct.Struct(">I4sQ")
"""Size and kind, and the size of a box whose first field is 1, ISO/IEC 14496-12, 4.2.2."""
OGG_HEADER_BYTES = 27
"""Without the table of segments, RFC 3533, 6."""
FRAGMENT_TIME = re.compile(rb"tfdt(.)...(.{8})", re.DOTALL)
"""Version and base media decode time of the first track in a fragment, ISO/IEC 14496-12, 8.8.12."""


def starts_of_files(path: Path, container: str) -> list[int]:
    """The positions at which the files inside a file begin, in bytes; at least [0].

    Args:
        path: local file.
        container: libav's name of the format in which it begins.
    """
    find = FINDERS.get(container)
    if find is None:
        return [0]
    with path.open("rb") as file:
        return [0, *(start for start in find(file) if start > 0)]


def is_cut_matroska(path: Path) -> bool:
    """Whether the last Matroska segment of a file promises more bytes than there are."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, io.SEEK_END)
        return any(end > size_bytes for _, end in _matroska_files(file))


def _found(file: BinaryIO, pattern: re.Pattern[bytes], from_byte: int = 0) -> Iterator[int]:
    """The positions at which a pattern of at most LONGEST_HEADER_BYTES is found, in order."""
    at, tail, last = from_byte, b"", -1
    file.seek(at)
    while block := file.read(READ_BYTES):
        window, window_at = tail + block, at - len(tail)
        for match in pattern.finditer(window):
            found = window_at + match.start()
            if found > last:
                last = found
                yield found
        at += len(block)
        tail = window[-LONGEST_HEADER_BYTES:]
        file.seek(at)  # who takes the positions may have read elsewhere


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


# --- Matroska (RFC 8794, RFC 9559) ---


def _matroska_starts(file: BinaryIO) -> Iterator[int]:
    return (start for start, _ in _matroska_files(file))


def _matroska_files(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Where each file begins, and where its segment ends as its size says; UNKNOWN_SIZE if it does not say."""
    next_byte = 0
    for start in _found(file, re.compile(re.escape(EBML_MAGIC))):
        if start < next_byte:  # an attachment, or sample bytes, inside a segment of a known size
            continue
        end = segment_end(_read(file, start, LONGEST_HEADER_BYTES))
        if end is None:
            continue
        if end != UNKNOWN_SIZE:
            next_byte = end = start + end
        yield start, end
        if next_byte >= file.seek(0, io.SEEK_END):
            return


# --- MP4 (ISO/IEC 14496-12) ---


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    size_bytes: int


def _mp4_starts(file: BinaryIO) -> Iterator[int]:
    """A file type box begins a file if a movie box stands before it and after it.

    Recorders repeat both in front of each fragment of one recording: then the clock of the fragments goes on.
    """
    boxes = list(_boxes(file))
    types = [index for index, box in enumerate(boxes) if box.kind == b"ftyp"]
    last_time = None
    for index, following in pairwise([*types, len(boxes)]):
        file_boxes = boxes[index:following]
        if not any(box.kind == b"moov" for box in file_boxes):
            continue
        times = [_fragment_time(file, box) for box in file_boxes if box.kind == b"moof"] if len(types) > 1 else []
        known = [time for time in times if time is not None]
        goes_on = last_time is not None and known and known[0] > last_time
        if known:
            last_time = known[-1]
        if not goes_on:
            yield boxes[index].start


def _boxes(file: BinaryIO) -> Iterator[_Box]:
    """The boxes of a file, those inside boxes left out."""
    end = file.seek(0, io.SEEK_END)
    at = 0
    while at + BOX.size <= end:
        header = _read(file, at, LARGE_BOX.size)
        size_bytes, kind = BOX.unpack_from(header)
        if size_bytes == 1 and len(header) == LARGE_BOX.size:
            size_bytes = LARGE_BOX.unpack(header)[2]
        if size_bytes == 0:
            size_bytes = end - at
        if size_bytes < BOX.size:
            return
        yield _Box(kind, at, size_bytes)
        at += size_bytes


def _fragment_time(file: BinaryIO, fragment: _Box) -> int | None:
    """When a fragment's first track goes on, in ticks; None if it does not say."""
    match = FRAGMENT_TIME.search(_read(file, fragment.start, min(fragment.size_bytes, LONGEST_HEADER_BYTES)))
    return int.from_bytes(match[2] if match[1] == b"\x01" else match[2][:4], "big") if match else None


# --- Others ---


def _ogg_starts(file: BinaryIO) -> Iterator[int]:
    """Pages that begin a logical stream, RFC 3533, 6, stand at the beginning of a file, one after the other."""
    beginning_ends_at = 0
    for start in _found(file, re.compile(rb"OggS\x00[\x02\x06]")):
        header = _read(file, start, OGG_HEADER_BYTES + 255)
        num_segments = header[OGG_HEADER_BYTES - 1] if len(header) >= OGG_HEADER_BYTES else 0
        segments = header[OGG_HEADER_BYTES : OGG_HEADER_BYTES + num_segments]
        if start != beginning_ends_at or start == 0:
            yield start
        beginning_ends_at = start + OGG_HEADER_BYTES + len(segments) + sum(segments)


def _starts_like(pattern: bytes) -> Callable[[BinaryIO], Iterator[int]]:
    """A finder of headers that are long enough to be told by their bytes alone."""
    compiled = re.compile(pattern, re.DOTALL)
    return lambda file: _found(file, compiled)


FINDERS: Final = {
    MATROSKA: _matroska_starts,
    MP4: _mp4_starts,
    OGG: _ogg_starts,
    AVI: _starts_like(rb"RIFF....AVI LIST"),
    FLV: _starts_like(rb"FLV\x01[\x00\x01\x04\x05]\x00\x00\x00\x09\x00\x00\x00\x00"),
    # The GUID of the header object, Advanced Systems Format 1.20.03, 10.1.
    ASF: _starts_like(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"),
}
"""By container: the positions of headers."""
