"""Files of which only parts were fetched, made from whole ones on the disk."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from byte_ranges import ByteRange, without
from decoder import sparse
from decoder.container import open as opening
from sources import mp4_boxes
from sources.mp4_boxes import LARGE_HEADER, boxes_of, needed_for_index

SMALL_OPENING_BYTES = 100_000


def make_opening_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have libav read less as it opens a file in this process, so that small clips show what it does not read."""
    for module in (opening, sparse, mp4_boxes):
        monkeypatch.setattr(module, "OPENING_BYTES", SMALL_OPENING_BYTES)
    monkeypatch.setattr(mp4_boxes, "OPENING_MARGIN_BYTES", 2 * SMALL_OPENING_BYTES)


def index_of(path: Path) -> list[ByteRange]:
    """What is fetched of a file before it is described, the headers of all boxes among it."""
    content = path.read_bytes()

    async def header_at(at: int) -> bytes:
        return content[at : at + LARGE_HEADER.size]

    try:
        boxes_of(header_at, len(content)).send(None)  # it waits for nothing
    except StopIteration as ended:
        boxes = ended.value
    headers = [ByteRange(box.place.start, box.place.start + LARGE_HEADER.size) for box in boxes]
    return without([*headers, *needed_for_index(boxes)], [])


def copy_parts(path: Path, present: Sequence[ByteRange], target: Path, filling: int = 0) -> Path:
    """A file of the same size that has these parts of another one, and bytes of one value elsewhere."""
    content = path.read_bytes()
    copy = bytearray([filling]) * len(content)
    for part in present:
        copy[part.start : part.stop] = content[part.start : part.stop]
    target.write_bytes(copy)
    return target
