"""The edit list of an MP4's track, ISO/IEC 14496-12, 8.6.6: which stretches of its stream are shown, and when.

libav has its own reading of it and does not tell what it says. That reading is right for what most files have, a start
that is cut off or comes late. It plays the beginning again where nothing is to be shown, plays on where a picture is to
stand still, and loses pictures or shifts them where a stretch begins inside a group of pictures (findings/).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

BOX, LARGE_BOX = struct.Struct(">I4s"), struct.Struct(">I4sQ")
"""Size and kind, and the size of a box whose first field is 1, ISO/IEC 14496-12, 4.2.2."""
ROWS: Final = {0: struct.Struct(">Iii"), 1: struct.Struct(">Qqi")}
"""Duration, time in the stream and rate of one edit, by the version of the box."""
UNKNOWN_DURATIONS: Final = {0: 2**32 - 1, 1: 2**64 - 1}
FULL_BOX_BYTES = 4
"""Version and flags, with which the content of some boxes begins."""
MOVIE_RATE_AT: Final = {0: 12, 1: 20}
"""Where a movie header has its ticks per second, by its version, 8.2.2; a track header has its track's number there."""
EMPTY = -1
"""Instead of a time in the stream: nothing is shown."""
ONE = 2**16
"""The rate 1 as a number of 16 bits before the point and 16 after it."""
MAX_BOXES = 100_000
"""So many are looked at in one box or file: a film of ten hours in fragments of a second has fewer."""
MAX_EDITS_READ = 100_000
LONGEST_HEADER_BYTES = 24
"""As much is read of the headers of movies and tracks."""


@dataclass(frozen=True, slots=True)
class _Box:
    """A box, and where its content begins and ends in the file."""

    kind: bytes
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class EditListEntry:
    """One row of the list. The rows follow each other on the film's clock."""

    duration: int | None
    """In ticks of the movie; None for as long as the stream goes on."""
    media_time: int
    """The time in the stream, in its ticks, with which it begins."""
    rate: Fraction
    """How fast the stream passes; 0 for a still."""

    @property
    def is_empty(self) -> bool:
        """Nothing is shown; that a stream would run backwards counts as such: nothing plays that."""
        return self.media_time == EMPTY or self.rate < 0


@dataclass(frozen=True, slots=True)
class EditList:
    """The list of one track."""

    entries: tuple[EditListEntry, ...]
    movie_hz: int
    """Ticks of the movie per second."""
    is_fragmented: bool
    """The movie goes on in fragments."""

    @property
    def is_plain(self) -> bool:
        """Whether one stretch is shown as it is, perhaps after a time of nothing: what libav reads rightly.

        It knows no end in fragmented files, and no stretch without an end in others.
        """
        first, *rest = self.entries
        shown = rest if first.media_time == EMPTY else [first, *rest]
        if len(shown) != 1:
            return False
        entry = shown[0]
        return entry.media_time >= 0 and entry.rate == 1 and (entry.duration is None) == self.is_fragmented

    @property
    def start_s(self) -> Fraction:
        """When the first stretch that is shown begins."""
        ticks = 0
        for entry in self.entries:
            if not entry.is_empty:
                break
            ticks += entry.duration or 0
        return Fraction(ticks, self.movie_hz)


def read_edit_list(path: Path, start_byte: int, track: int) -> EditList | None:
    """Read the edit list of a track; None if it has none, or if it cannot be read.

    Args:
        path: local file.
        start_byte: where the MP4 begins in it.
        track: the number of the track, which libav has as the stream's id.
    """
    with path.open("rb") as file:
        end = file.seek(0, 2)
        movie = next((box for box in _boxes(file, _Box(b"", start_byte, end)) if box.kind == b"moov"), None)
        return _read_movie(file, movie, track) if movie else None


def _read_movie(file: BinaryIO, movie: _Box, track: int) -> EditList | None:
    movie_hz, is_fragmented, found = 0, False, None
    for box in _boxes(file, movie):
        if box.kind == b"mvhd":
            movie_hz = _number_after_times(file, box)
        elif box.kind == b"mvex":
            is_fragmented = True
        elif box.kind == b"trak" and found is None and _track_number(file, box) == track:
            found = box
    rows = _rows(file, found) if found else []
    if not rows or not movie_hz:
        return None
    is_alone = all(row.is_empty for row in rows[:-1])
    if rows[-1].duration == 0 and (is_alone or is_fragmented):
        rows[-1] = replace(rows[-1], duration=None)
    elif found and is_fragmented and _has_samples(file, found):
        rows[-1] = replace(rows[-1], duration=None)  # it may be that of the part before the fragments
    return EditList(tuple(rows), movie_hz, is_fragmented)


def _track_number(file: BinaryIO, track: _Box) -> int:
    return next((_number_after_times(file, header) for header in _inside(file, track, b"tkhd")), 0)


def _has_samples(file: BinaryIO, track: _Box) -> bool:
    """Whether a track's own tables hold samples, 8.7.3, apart from those in fragments."""
    tables = _inside(file, track, b"mdia", b"minf", b"stbl", b"stsz")
    return any(any(_read(file, table.start + 8, 4)) for table in tables)


def _inside(file: BinaryIO, box: _Box, kind: bytes, *kinds: bytes) -> Iterator[_Box]:
    """The boxes that are found along a path of kinds."""
    for inner in _boxes(file, box):
        if inner.kind == kind and kinds:
            yield from _inside(file, inner, *kinds)
        elif inner.kind == kind:
            yield inner


def _number_after_times(file: BinaryIO, box: _Box) -> int:
    """The number of 32 bits behind the times at which a movie or track was made; 0 if there is none."""
    header = _read(file, box.start, min(box.stop - box.start, LONGEST_HEADER_BYTES))
    number_at = MOVIE_RATE_AT.get(header[0]) if header else None
    return int.from_bytes(header[number_at : number_at + 4], "big") if number_at else 0


def _rows(file: BinaryIO, track: _Box) -> list[EditListEntry]:
    """The rows of a track's list, or of the first one, that fit into its box."""
    box = next(_inside(file, track, b"edts", b"elst"), None)
    header = _read(file, box.start, min(box.stop - box.start, FULL_BOX_BYTES + 4)) if box else b""
    row = ROWS.get(header[0]) if len(header) == FULL_BOX_BYTES + 4 else None
    if box is None or row is None:
        return []
    at = box.start + len(header)
    count = min(int.from_bytes(header[FULL_BOX_BYTES:], "big"), (box.stop - at) // row.size, MAX_EDITS_READ)
    content = _read(file, at, count * row.size)
    unknown = UNKNOWN_DURATIONS[header[0]]
    return [
        EditListEntry(None if duration == unknown else duration, media_time, Fraction(rate, ONE))
        for duration, media_time, rate in row.iter_unpack(content[: len(content) // row.size * row.size])
    ]


def _boxes(file: BinaryIO, outer: _Box) -> Iterator[_Box]:
    """The boxes inside another one."""
    return islice(_all_boxes(file, outer.start, outer.stop), MAX_BOXES)


def _all_boxes(file: BinaryIO, at: int, end: int) -> Iterator[_Box]:
    while at + BOX.size <= end:
        header = _read(file, at, LARGE_BOX.size)
        if len(header) < BOX.size:
            return
        (size_bytes, kind), header_bytes = BOX.unpack_from(header), BOX.size
        if size_bytes == 1 and len(header) == LARGE_BOX.size:
            size_bytes, header_bytes = LARGE_BOX.unpack(header)[2], LARGE_BOX.size
        elif size_bytes == 0:  # to the end
            size_bytes = end - at
        if size_bytes < header_bytes or at + header_bytes > end:
            return
        yield _Box(kind, at + header_bytes, min(at + size_bytes, end))
        at += size_bytes


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)
