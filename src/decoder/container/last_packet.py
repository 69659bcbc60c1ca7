"""Tells whether a file ends inside one of its container's packets: cut off, although libav finds nothing wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

from decoder.container.formats import MPEG_TRANSPORT, OGG
from decoder.container.transport import DISTANCES_BYTES, PACKET_BYTES, PACKETS_COMPARED, SYNC_BYTE

PAGE, PAGE_HEADER = b"OggS", struct.Struct("<4sBBqIIIB")
"""Capture pattern, version, type, position, stream, number, check sum and count of segments, RFC 3533, 6."""
LARGEST_PAGE_BYTES = PAGE_HEADER.size + 255 + 255 * 255


def ends_in_packet(path: Path, stop_byte: int, container: str) -> bool:
    """Whether a file, or one inside it, ends in the middle of a packet.

    Args:
        path: local file.
        stop_byte: where it ends.
        container: its format.
    """
    is_cut = READERS.get(container)
    if is_cut is None:
        return False
    with path.open("rb") as file:
        file.seek(max(0, stop_byte - LARGEST_PAGE_BYTES))
        return is_cut(file.read(stop_byte - file.tell()))


def _ends_in_transport_packet(end: bytes) -> bool:
    """Whether sync bytes stand at one distance, ISO/IEC 13818-1, 2.4.3.2, and fewer bytes follow the last than must."""
    end = end[-(PACKETS_COMPARED + 1) * max(DISTANCES_BYTES) :]
    for distance_bytes in DISTANCES_BYTES:
        for last in range(len(end) - 1, max(-1, len(end) - 1 - distance_bytes), -1):
            packets = end[last::-distance_bytes][:PACKETS_COMPARED]
            if packets == PACKETS_COMPARED * SYNC_BYTE:
                return last + PACKET_BYTES > len(end)
    return False


def _ends_in_page(end: bytes) -> bool:
    """Whether the last page announces more than there is."""
    at = end.rfind(PAGE)
    if at < 0 or len(end) < at + PAGE_HEADER.size:
        return at >= 0
    segments: int = PAGE_HEADER.unpack_from(end, at)[-1]
    sizes = end[at + PAGE_HEADER.size :][:segments]
    return len(sizes) < segments or at + PAGE_HEADER.size + segments + sum(sizes) > len(end)


READERS: Mapping[str, Callable[[bytes], bool]] = {MPEG_TRANSPORT: _ends_in_transport_packet, OGG: _ends_in_page}
"""By container: read the last bytes. The others tell their end themselves."""
