"""Finds places in a file at which packets are missing: bytes between two packets that belong to nothing.

A time between two pictures that is longer than the others is no sign of loss: screen recordings write a picture when
something changes. Where packets are lost, the bytes that they were are still there, or the file's own structure is
broken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

from av.packet import Packet
from av.stream import Stream

from decoder.container.ebml import EBML_MAGIC, SEGMENT_ID, Element, read_element
from decoder.container.formats import AVI, FLV, MATROSKA, MPEG_PROGRAM, MPEG_TRANSPORT
from decoder.container.last_packet import ends_in_packet
from decoder.container.pauses import Pauses
from decoder.container.transport import DISTANCES_BYTES, PACKETS_COMPARED, SYNC_BYTE

LARGEST_OVERHEAD_BYTES = {MATROSKA: 64, AVI: 64, FLV: 256, MPEG_TRANSPORT: 0, MPEG_PROGRAM: 4096}
"""What stands between two packets at most, by container; with more the file is looked at. Only these are looked at: MP4
and ASF tell the place of every packet, or lose none without a word."""
MAX_LOOKED_AT_BYTES = 2**26
"""A longer stretch between two pictures is not looked at: it counts as it is found in its beginning."""
CLUSTER, BLOCK_GROUP, BLOCK, SIMPLE_BLOCK = b"\x1f\x43\xb6\x75", b"\xa0", b"\xa1", b"\xa3"
"""Matroska's identifiers of elements, RFC 9559, 5.1."""
CLUSTER_ELEMENTS = "a0 a3 e7 a7 ab 5854 9b fb a2 a4 75a1 75a2"
"""What is in a cluster, and in its groups of blocks."""
TOP_ELEMENTS = "1f43b675 114d9b74 1549a966 1654ae6b 1c53bb6b 1941a469 1043a770 1254c367 ec bf"
"""Clusters and what is beside them."""
LAST_ELEMENTS = frozenset(bytes.fromhex(identifier) for identifier in f"{CLUSTER_ELEMENTS} {TOP_ELEMENTS}".split())
"""What may come after the last packet of a video."""
MAX_HEADER_BYTES = 12
"""Of an identifier and a size, RFC 8794, 4 to 6."""
CHUNK_HEADER_BYTES = 8
"""Of RIFF, which AVI is made of."""
FLV_HEADER, FLV_HEADER_BYTES, TAG_BYTES, TAG_TYPES = b"FLV", 13, 15, (8, 9, 18)
"""Of FLV: the file's header with the size of the tag before it, and of each tag."""
BOX_HEADER_BYTES, FRAGMENT = 8, b"moof"
"""Of an MP4."""


class Continuity:
    """Follows all packets of a file in the order in which they are read.

    Args:
        path: the file.
        start_byte: where the file inside it begins from which the packets' positions count.
        stop_byte: where that ends.
        stream: the stream whose losses matter.
    """

    def __init__(self, path: Path, start_byte: int, stop_byte: int, stream: Stream) -> None:
        self._path, self._stream = path, stream
        self._start_byte, self._stop_byte = start_byte, stop_byte
        self._container = stream.container.format.name
        self._overhead_bytes = LARGEST_OVERHEAD_BYTES.get(self._container)
        self._last: Packet[Any] | None = None
        self._last_place: int | None = None
        self._pauses = Pauses()

    @property
    def is_after_pause(self) -> bool:
        """Whether more time than usual lies before the last packet of the stream."""
        return self._pauses.is_before_last

    def is_interrupted_before(self, packet: Packet[Any]) -> bool:
        """Whether packets of the stream may be lost between the packet before and this one; asked once for each."""
        is_video = packet.stream_index == self._stream.index
        if is_video:
            self._pauses.add(packet)
        last, self._last = self._last, packet
        if self._overhead_bytes is None or last is None or last.pos is None or packet.pos is None:
            return False
        last_at, at = self._start_byte + last.pos, self._start_byte + packet.pos
        if self._container == MPEG_TRANSPORT:
            last_place, self._last_place = self._last_place, at if is_video else self._last_place
            is_long = is_video and self.is_after_pause
            return is_long and last_place is not None and not self._is_transport_stream(last_place, at)
        if at - last_at - last.size <= self._overhead_bytes:
            return False
        match self._container:
            case "matroska,webm":
                is_contiguous = self._is_matroska(last_at, at)
            case "avi":
                is_contiguous = self._is_avi(last_at + last.size, at)
            case "flv":
                is_contiguous = self._is_flv(last_at, at)
            case _:
                is_contiguous = not (is_video and self.is_after_pause)
        return not is_contiguous

    def is_interrupted_at_end(self) -> bool:
        """Whether the file ends in a packet, or goes on after the last one with what is none of its elements."""
        return ends_in_packet(self._path, self._stop_byte, self._container) or self._is_followed_by_others()

    def _is_followed_by_others(self) -> bool:
        """Whether what follows the last packet is no element of Matroska; the other containers do not tell."""
        if self._container != MATROSKA or self._last is None or self._last.pos is None:
            return False
        with self._path.open("rb") as file:
            at = _end_of_block(file, self._start_byte + self._last.pos)
            while at is not None and at < self._stop_byte:
                file.seek(at)
                header = file.read(MAX_HEADER_BYTES)
                element = read_element(header)
                if len(header) < MAX_HEADER_BYTES or (element and element.identifier in (SEGMENT_ID, EBML_MAGIC)):
                    return False
                if element is None or element.identifier not in LAST_ELEMENTS:
                    return any(header) or any(file.read(MAX_LOOKED_AT_BYTES))  # zeros alone fill the file up
                at = _after(element, at)
        return False

    def _is_transport_stream(self, start: int, stop: int) -> bool:
        """Whether there is a sync byte where each transport packet begins, ISO/IEC 13818-1, 2.4.3.2."""
        with self._path.open("rb") as file:
            file.seek(start)
            content = file.read(min(stop - start, MAX_LOOKED_AT_BYTES) + 1)
        for size in DISTANCES_BYTES:
            places = content[::size]
            if places[:PACKETS_COMPARED].strip(SYNC_BYTE) == b"":
                return places.strip(SYNC_BYTE) == b"" and (stop - start) % size == 0
        return False

    def _is_avi(self, at: int, stop: int) -> bool:
        """Whether chunks follow each other from the end of one content to the beginning of another one."""
        with self._path.open("rb") as file:
            at += at % 2
            while at + CHUNK_HEADER_BYTES < stop:
                file.seek(at)
                header = file.read(CHUNK_HEADER_BYTES)
                size = int.from_bytes(header[4:], "little")
                is_list = header[:4] in (b"LIST", b"RIFF")
                if len(header) < CHUNK_HEADER_BYTES or not header[:4].isalnum():
                    return False
                at += CHUNK_HEADER_BYTES + (4 if is_list else size + size % 2)
        return at + CHUNK_HEADER_BYTES == stop

    def _is_flv(self, at: int, stop: int) -> bool:
        """Whether tags follow each other, or a header as where files were joined."""
        with self._path.open("rb") as file:
            while at < stop:
                file.seek(at)
                header = file.read(TAG_BYTES)
                if header.startswith(FLV_HEADER):
                    at += FLV_HEADER_BYTES
                elif len(header) == TAG_BYTES and header[0] in TAG_TYPES:
                    at += TAG_BYTES + int.from_bytes(header[1:4], "big")
                else:
                    return False
        return at == stop

    def _is_matroska(self, last_block: int, block: int) -> bool:
        """Whether elements follow each other from the content of one block to that of another one."""
        with self._path.open("rb") as file:
            at = _end_of_block(file, last_block)
            while at is not None and at < block:
                file.seek(at)
                element = read_element(file.read(MAX_HEADER_BYTES))
                if element is None:
                    return False
                if at + element.start == block and element.identifier in (BLOCK, SIMPLE_BLOCK):
                    return True
                at = _after(element, at)
        return False


def has_lost_fragments(path: Path) -> bool:
    """Whether a fragmented MP4 goes on after a place at which it cannot be read, ISO/IEC 14496-12, 4.2."""
    with path.open("rb") as file:
        at = 0
        while len(header := file.read(16)) >= BOX_HEADER_BYTES:
            size, kind = int.from_bytes(header[:4], "big"), header[4:8]
            size = int.from_bytes(header[8:], "big") if size == 1 else size
            if not kind.isascii() or not kind.replace(b" ", b"x").isalnum():
                return FRAGMENT in file.read(MAX_LOOKED_AT_BYTES)
            if size < BOX_HEADER_BYTES:  # 0: to the end of the file
                return False
            at += size
            file.seek(at)
    return False


def _end_of_block(file: BinaryIO, content_at: int) -> int | None:
    """The end of the block whose content begins at an offset; None if there is no block."""
    for header_bytes in range(2, min(MAX_HEADER_BYTES, content_at + 1)):
        file.seek(content_at - header_bytes)
        found = read_element(file.read(header_bytes))
        if found and found.identifier in (BLOCK, SIMPLE_BLOCK) and found.start == header_bytes and found.end:
            return content_at + found.size_bytes
    return None


def _after(element: Element, at: int) -> int | None:
    """Where the next element's header begins; None if that is unknown.

    Args:
        element: as it was read at an offset.
        at: the offset.
    """
    has_elements = element.identifier in (CLUSTER, BLOCK_GROUP)
    return at + element.start if has_elements else at + element.end if element.end is not None else None
