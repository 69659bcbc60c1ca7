"""The few elements of Matroska files that libav does not tell about: RFC 8794 (EBML) and RFC 9559 (Matroska)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EBML_MAGIC, SEGMENT_ID = b"\x1aE\xdf\xa3", b"\x18S\x80g"
TRACKS_ID = b"\x16T\xaek"
TRACK_ENTRY_ID, TRACK_TYPE_ID, FLAG_ENABLED_ID, CODEC_ID = b"\xae", b"\x83", b"\xb9", b"\x86"
VIDEO_FOR_WINDOWS = b"V_MS/VFW/FOURCC"
"""A codec that is named as AVI files do: its packets have the times at which they are decoded."""
STREAM_TYPES = frozenset([1, 2, 17, 33])
"""Video, audio, subtitles and metadata: libav makes a stream of each such track, in their order."""
UNKNOWN_SIZE = -1
NUMBER_BYTES = 8
HEADERS_BYTES = 2**20
"""As much as is read to find the tracks."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of which only the header was read."""

    identifier: bytes
    start: int
    """Of its content."""
    size_bytes: int
    """Of its content; UNKNOWN_SIZE if all bits of the field are set."""

    @property
    def end(self) -> int | None:
        """Of its content; None if its size is unknown."""
        return None if self.size_bytes == UNKNOWN_SIZE else self.start + self.size_bytes


def read_element(content: bytes, at: int = 0) -> Element | None:
    """Read an element's header, RFC 8794, 4 to 6; None if none stands there, or not all of it."""
    size_at = at + _length(content[at : at + 1])
    length = _length(content[size_at : size_at + 1])
    if not at < size_at < size_at + length <= len(content):
        return None
    most = (1 << 7 * length) - 1
    size_bytes = int.from_bytes(content[size_at : size_at + length], "big") & most
    return Element(content[at:size_at], size_at + length, UNKNOWN_SIZE if size_bytes == most else size_bytes)


def segment_end(header: bytes) -> int | None:
    """Where a segment ends, counted from its EBML header; UNKNOWN_SIZE if it does not say.

    Returns:
        None if these bytes begin no Matroska file.
    """
    segment = _segment(header)
    if segment is None:
        return None
    return UNKNOWN_SIZE if segment.end is None else segment.end


def disabled_streams(path: Path, start_byte: int) -> frozenset[int]:
    """The indices of the streams whose tracks have FlagEnabled 0: players offer them, and do not show them."""
    tracks = enumerate(_tracks(path, start_byte))
    return frozenset(index for index, track in tracks if _number(track.get(FLAG_ENABLED_ID)) == 0)


def streams_with_dts(path: Path, start_byte: int) -> frozenset[int]:
    """The indices of the streams of which blocks tell when they are decoded."""
    tracks = enumerate(_tracks(path, start_byte))
    return frozenset(index for index, track in tracks if track.get(CODEC_ID, b"").rstrip(b"\0") == VIDEO_FOR_WINDOWS)


def _tracks(path: Path, start_byte: int) -> list[dict[bytes, bytes]]:
    """The elements of each track of which libav makes a stream, in its order."""
    with path.open("rb") as file:
        file.seek(start_byte)
        headers = file.read(HEADERS_BYTES)
    segment = _segment(headers)
    entries: list[dict[bytes, bytes]] = []
    for element in _elements(headers, segment.start, len(headers)) if segment else ():
        if element.identifier == TRACKS_ID:
            entries = [
                _children(headers, entry)
                for entry in _elements(headers, element.start, element.start + element.size_bytes)
                if entry.identifier == TRACK_ENTRY_ID
            ]
    return [entry for entry in entries if _number(entry.get(TRACK_TYPE_ID)) in STREAM_TYPES]


def _segment(header: bytes) -> Element | None:
    """The segment after the EBML header with which some bytes begin."""
    elements = _elements(header, 0, len(header))
    first, second = next(elements, None), next(elements, None)
    if first and second and first.identifier == EBML_MAGIC and second.identifier == SEGMENT_ID:
        return second
    return None


def _elements(content: bytes, start: int, end: int) -> Iterator[Element]:
    """The elements that stand one after the other; the last one may be longer than the content."""
    end = min(end, len(content))
    while start < end and (element := read_element(content[:end], start)) is not None:
        yield element
        if element.end is None:
            return
        start = element.end


def _length(first: bytes) -> int:
    """How many bytes an identifier or a size has, by the leading zeros of its first byte; 0 if there are eight."""
    return 9 - first[0].bit_length() if first.strip(b"\0") else 0


def _children(content: bytes, entry: Element) -> dict[bytes, bytes]:
    """The contents of an element's children; of several that have the same name the last one."""
    return {
        child.identifier: content[child.start : child.end]
        for child in _elements(content, entry.start, entry.start + entry.size_bytes)
        if child.end is not None
    }


def _number(content: bytes | None) -> int | None:
    """An unsigned integer, RFC 8794, 7.2; None if there is none."""
    return None if content is None else int.from_bytes(content[:NUMBER_BYTES], "big")
