"""Says whether a clock that jumps forward has begun anew there, from the bytes between two pictures.

DTS alone cannot tell a screen that stood still from another recording that was appended, so the file is asked: is there
a time inside the gap, and does something begin anew in it?
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final

from decoder.container.formats import FLV, MPEG_PROGRAM, MPEG_TRANSPORT
from decoder.container.transport import DISTANCES_BYTES, PACKET_BYTES, SYNC_BYTE

LONGEST_STANDSTILL_S = 3600
"""A clock of which nothing is left in the file for longer than this has begun anew."""
GAP_MARGIN_S = 2
"""Sound and pictures of the same time lie this far from each other in a file."""
MAX_GAP_BYTES = 2**26
BYTES_BEFORE = 2**18
"""As far back as counters are followed: tables that describe a programme are repeated in every tenth of a second."""
NULL_PID = 0x1FFF
TABLE_PIDS = range(0x20)
"""Reserved for tables, ISO/IEC 13818-1, table 2-3, and ETSI EN 300 468, 5.1.3."""
CLOCK_HZ, CLOCK_BITS = 90_000, 33
"""Of PTS, DTS and the base of PCR in MPEG systems: ISO/IEC 13818-1, 2.4.2 and 2.4.3.6."""
PES_WITH_PTS = re.compile(rb"\x00\x00\x01[\xbd\xc0-\xef]..[\x80-\xbf][\x80-\xff].(.{5})", re.DOTALL)
"""A PES header as far as its PTS, ISO/IEC 13818-1, 2.4.3.6."""
PROGRAM_RESTART = re.compile(rb"\x00\x00\x01(?:\xb9|\xbb)")
"""MPEG_program_end_code or a system header, ISO/IEC 13818-1, 2.5.3: the latter opens a program stream."""
FLV_TAG = struct.Struct(">B3s3sB3s")
FLV_KIND, FLV_SCRIPT, FLV_VIDEO = 0x1F, 18, 9
FLV_CODEC, FLV_H264 = 0x0F, 7
"""In the first byte of a video tag's body; a second byte of 0 says that the body is a decoder's configuration."""


class Seams:
    """The places in a file at which its clock may have begun anew.

    Args:
        path: local file.
        start_byte: where the part of the file begins from which the positions count.
        container: its format.
    """

    def __init__(self, path: Path, start_byte: int, container: str) -> None:
        self._path, self._start_byte, self._container = path, start_byte, container

    def is_new_clock(self, from_byte: int | None, to_byte: int | None, from_s: Fraction, to_s: Fraction) -> bool:
        """Whether the clock began anew between two packets.

        A jump is a standstill if something in between has a time inside it. Else the clock is a new one if something
        begins anew there, or if the jump is longer than any standstill.

        Args:
            from_byte: where the earlier packet begins; None if unknown.
            to_byte: where the later one begins.
            from_s: DTS of the earlier one, on the file's own clock.
            to_s: DTS of the later one, far ahead.
        """
        before, gap = self._between(from_byte, to_byte)
        times_s, begins_anew = GAP_READERS[self._container](before, gap)
        wrap_s = Fraction(2**CLOCK_BITS, CLOCK_HZ) if self._container != FLV else to_s + 1
        inside_s = _inside(from_s, to_s)
        if any(inside_s[0] < (time_s - from_s) % wrap_s < inside_s[1] for time_s in times_s):
            return False
        return begins_anew or to_s - from_s > LONGEST_STANDSTILL_S

    def is_another_file(self, from_byte: int | None, to_byte: int | None) -> bool:
        """Whether a transport stream is another one from a packet on: the tables in front of it are counted anew.

        Args:
            from_byte: where the packet before begins; None if unknown.
            to_byte: where it begins.
        """
        before, gap = self._between(from_byte, to_byte)
        last: dict[int, bytes] = {}
        for at_byte, packet in _transport_packets(before + gap):
            pid = (packet[1] & 0x1F) << 8 | packet[2]
            if pid not in TABLE_PIDS or not packet[3] & 0x10:
                continue
            if at_byte >= len(before) and not _continues(last.get(pid, packet), packet):
                return True
            last[pid] = packet
        return False

    def _between(self, from_byte: int | None, to_byte: int | None) -> tuple[bytes, bytes]:
        """What stands before a packet, and the bytes from its start to behind the start of the other."""
        if from_byte is None or to_byte is None or not from_byte < to_byte < from_byte + MAX_GAP_BYTES:
            return b"", b""
        before_bytes = min(from_byte, BYTES_BEFORE)
        with self._path.open("rb") as file:
            file.seek(self._start_byte + from_byte - before_bytes)
            return file.read(before_bytes), file.read(to_byte - from_byte + max(DISTANCES_BYTES))


def _inside(from_s: Fraction, to_s: Fraction) -> tuple[Fraction, Fraction]:
    """What is certainly inside a gap, in seconds from its start."""
    return Fraction(GAP_MARGIN_S), to_s - from_s - GAP_MARGIN_S


def _transport_gap(before: bytes, gap: bytes) -> tuple[list[Fraction], bool]:
    """Times in a gap of a transport stream; whether a discontinuity is flagged or a continuity counter breaks."""
    times_s: list[Fraction] = []
    begins_anew = False
    last: dict[int, bytes] = {}
    for at_byte, packet in _transport_packets(before + gap):
        pid, adaptation_bytes = (packet[1] & 0x1F) << 8 | packet[2], 1 + packet[4] if packet[3] & 0x20 else 0
        flags = packet[5] if adaptation_bytes > 1 else 0  # adaptation_field, ISO/IEC 13818-1, 2.4.3.4
        breaks = bool(packet[3] & 0x10) and pid != NULL_PID and not _continues(last.get(pid, packet), packet)
        if packet[3] & 0x10:
            last[pid] = packet
        if at_byte < len(before):
            continue
        begins_anew |= breaks or bool(flags & 0x80)
        if flags & 0x10:
            times_s.append(Fraction(int.from_bytes(packet[6:11], "big") >> 7, CLOCK_HZ))
        if packet[1] & 0x40:
            times_s += _pes_times_s(packet[4 + adaptation_bytes :])
    return times_s, begins_anew


def _continues(last: bytes, packet: bytes) -> bool:
    """Whether a packet's counter follows the last one's; a packet may be sent twice: ISO/IEC 13818-1, 2.4.3.3."""
    return last[3] + 1 & 0x0F == packet[3] & 0x0F or last == packet


def _transport_packets(gap: bytes) -> Iterator[tuple[int, bytes]]:
    """The positions and packets of a transport stream, of whichever of the three usual lengths."""
    for length in DISTANCES_BYTES:
        for first in range(length):
            if gap[first::length] and not gap[first::length].strip(SYNC_BYTE):
                places = range(first, len(gap) - PACKET_BYTES + 1, length)
                yield from ((at, gap[at : at + PACKET_BYTES]) for at in places)
                return


def _program_gap(_: bytes, gap: bytes) -> tuple[list[Fraction], bool]:
    """Times in a gap of a program stream; whether a program ends or begins in it."""
    return _pes_times_s(gap), bool(PROGRAM_RESTART.search(gap))


def _pes_times_s(content: bytes) -> list[Fraction]:
    """The PTS of the PES packets that begin in some bytes."""
    return [_pes_pts_s(match[1]) for match in PES_WITH_PTS.finditer(content)]


def _pes_pts_s(field: bytes) -> Fraction:
    """Read the 33 bits of a PTS, which stand between marker bits."""
    first, high, low = field[0] >> 1 & 7, int.from_bytes(field[1:3], "big") >> 1, int.from_bytes(field[3:5], "big") >> 1
    return Fraction(first << 30 | high << 15 | low, CLOCK_HZ)


def _flv_gap(_: bytes, gap: bytes) -> tuple[list[Fraction], bool]:
    """Times in a gap of an FLV; whether metadata or another decoder configuration stands in it."""
    times_s: list[Fraction] = []
    begins_anew, at = False, 0
    while at + FLV_TAG.size + 2 <= len(gap):  # Adobe Flash Video File Format 10.1, E.4.1
        kind, length, low, high, _ = FLV_TAG.unpack_from(gap, at)
        times_s.append(Fraction(high << 24 | int.from_bytes(low, "big"), 1000))
        body = gap[at + FLV_TAG.size : at + FLV_TAG.size + 2]
        is_configuration = kind & FLV_KIND == FLV_VIDEO and body[0] & FLV_CODEC == FLV_H264 and body[1] == 0
        begins_anew |= is_configuration or kind & FLV_KIND == FLV_SCRIPT
        at += FLV_TAG.size + int.from_bytes(length, "big") + 4
    return times_s, begins_anew


GAP_READERS: Final = {MPEG_TRANSPORT: _transport_gap, MPEG_PROGRAM: _program_gap, FLV: _flv_gap}
"""By container: read the bytes of a gap."""
