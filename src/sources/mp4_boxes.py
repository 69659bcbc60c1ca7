"""Where the boxes of an MP4 stand, ISO/IEC 14496-12, 4.2: their headers alone are read, and none of what is in them.

It is all that the worker's own process reads of a file from outside.
"""

import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from byte_ranges import ByteRange, merged, total_bytes
from protocol import OPENING_BYTES

HEADER, LARGE_HEADER = struct.Struct(">I4s"), struct.Struct(">I4sQ")
"""Size and kind, and the size of a box whose first field is 1."""
INDEX, MEDIA, TYPE = b"moov", b"mdat", b"ftyp"
PADDING = frozenset([b"free", b"skip", b"wide"])
KINDS = frozenset([INDEX, MEDIA, TYPE, b"uuid", b"udta", b"meta", b"pdin", b"pnot", b"PICT"]) | PADDING
"""What may stand beside each other in a file that is read by its index alone. Fragments have no index of the whole."""
MAX_BOXES = 32
MAX_INDEX_BYTES = 2**26
"""For all boxes but MEDIA and PADDING; ten hours of film have a quarter of it."""
OPENING_MARGIN_BYTES = 3 * 2**20
"""Besides OPENING_BYTES: the packet that libav reads last, and sound between the first pictures."""


class NotByIndex(Exception):
    """The file is no MP4 whose packets an index of the whole file places."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box of a file, its header included."""

    kind: bytes
    place: ByteRange


async def boxes_of(header_at: Callable[[int], Awaitable[bytes]], size_bytes: int) -> list[Box]:
    """Follow the boxes of a file from its beginning to its end.

    Args:
        header_at: returns what stands at a place, at least LARGE_HEADER.size bytes if the file does not end before.
        size_bytes: of the file.

    Raises:
        NotByIndex: it is no MP4, or one with other boxes than one index, media, and what does not matter.
    """
    boxes: list[Box] = []
    at = 0
    while at < size_bytes:
        box = _box(await header_at(at), at, size_bytes)
        if box.kind not in KINDS or box.place.stop > size_bytes or len(boxes) == MAX_BOXES:
            raise NotByIndex("it is no MP4 that is read by one index, or not all of one")
        boxes.append(box)
        at = box.place.stop
    kinds = [box.kind for box in boxes]
    if kinds.count(INDEX) != 1 or kinds.count(TYPE) > 1 or MEDIA not in kinds:
        raise NotByIndex("it has not one index and one type")
    return boxes


def _box(header: bytes, at: int, size_bytes: int) -> Box:
    if len(header) < HEADER.size:
        raise NotByIndex("it ends in a box")
    length, kind = HEADER.unpack_from(header)
    shortest = HEADER.size
    if length == 1 and len(header) >= LARGE_HEADER.size:
        length, shortest = LARGE_HEADER.unpack_from(header)[2], LARGE_HEADER.size
    elif length == 0:  # to the end of the file
        length = size_bytes - at
    if length < shortest:
        raise NotByIndex("a box is shorter than its header")
    return Box(kind, ByteRange(at, at + length))


def needed_for_index(boxes: Sequence[Box]) -> list[ByteRange]:
    """Return what must be fetched so that a file can be described.

    That is all boxes but those that hold media or nothing, and the first of the media: libav reads it as it opens a
    file.

    Raises:
        NotByIndex: the index is too large.
    """
    media = next(box.place for box in boxes if box.kind == MEDIA)
    index = [box.place for box in boxes if box.kind != MEDIA and box.kind not in PADDING]
    if total_bytes(index) > MAX_INDEX_BYTES:
        raise NotByIndex(f"its index is larger than {MAX_INDEX_BYTES} bytes")
    opening = ByteRange(media.start, min(media.stop, media.start + OPENING_BYTES + OPENING_MARGIN_BYTES))
    return merged([*index, opening])
