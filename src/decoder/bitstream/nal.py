"""What H.264 and H.265 have in common: packets of NAL units, and parameter sets that pictures are decoded with.

A NAL unit is handled as the bytes from its header on: all of a parameter set, the first bytes of a slice.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from decoder.bitstream.base import BitstreamParser, ReferenceInfo

START_CODE = b"\x00\x00\x01"
CONFIGURATION_VERSION = b"\x01"
"""The first byte of a configuration record as containers have it. Other extradata is NAL units after start codes."""
EXTENSION_BYTE = 255
"""An SEI type or size of this value goes on in the next byte."""
DISPLAY_ORIENTATION = 47
"""The type of the message that turns pictures, ITU-T H.264, D.1.27, and H.265, D.2.17."""
MAX_UNIT_BYTES = 1024
"""How much of a unit is looked at: more than any parameter set needs."""


class NalParser(BitstreamParser):
    """Parses the slice headers of a stream and follows its parameter sets.

    A set that changes midway may be sent with any packet, and pictures far after it may need it. So after a change all
    packets are needed.
    """

    SPS: int
    """nal_unit_type of a sequence parameter set."""
    PPS: int
    """nal_unit_type of a picture parameter set."""
    SEI_TYPES: tuple[int, ...]
    """nal_unit_type of supplemental enhancement information."""
    UNIT_HEADER_BYTES: int

    def __init__(self, extradata: bytes = b"") -> None:
        self.length_bytes, units = self._configuration(extradata)
        self._parameter_sets: set[bytes] = set()
        self._have_sets_changed = False
        for unit in units:
            self._note_parameter_set(unit)
        self._is_configured = bool(self._parameter_sets)

    def parse(self, packet: bytes) -> ReferenceInfo:
        """Parse the header of the first slice, and the units before it; where none is found there may be one."""
        first_slice, preceding = self._first_slice(packet)
        if first_slice is None:
            return ReferenceInfo(is_output=None)
        if self._have_sets_changed or not self._parameter_sets:
            return ReferenceInfo()
        info = self.parse_slice(first_slice, preceding)
        can_start_here = self._is_configured or {self.SPS, self.PPS} <= set(map(self.unit_type, preceding))
        return info if can_start_here else replace(info, is_closed_rap=False, is_open_rap=False)

    def messages(self, packet: bytes) -> Iterator[tuple[int, bytes]]:
        """Type and payload of the SEI messages in a packet."""
        for unit in nal_units(packet, self.length_bytes):
            if self.unit_type(unit) in self.SEI_TYPES:
                yield from self.messages_of(unit)

    @classmethod
    def messages_of(cls, sei: bytes) -> Iterator[tuple[int, bytes]]:
        """The messages of an SEI unit, ITU-T H.264, 7.3.2.3.1, up to a type or size of several bytes."""
        payload = without_emulation_prevention(sei[cls.UNIT_HEADER_BYTES :])
        at = 0
        while at + 2 < len(payload):
            payload_type, payload_size, at = payload[at], payload[at + 1], at + 2
            if EXTENSION_BYTE in (payload_type, payload_size):
                return
            yield payload_type, payload[at : at + payload_size]
            at += payload_size

    def _first_slice(self, packet: bytes) -> tuple[bytes | None, list[bytes]]:
        """The first slice of a packet and the units before it, of which parameter sets are noted."""
        preceding: list[bytes] = []
        is_first = not self._parameter_sets
        for unit in nal_units(packet, self.length_bytes):
            if self.is_slice(unit):
                return unit, preceding
            preceding.append(unit)
            known = len(self._parameter_sets)
            self._note_parameter_set(unit)
            self._have_sets_changed |= len(self._parameter_sets) > known and not is_first
        return None, preceding

    def _note_parameter_set(self, unit: bytes) -> None:
        unit_type, content = self.unit_type(unit), unit.rstrip(b"\x00")
        if unit_type in (self.SPS, self.PPS) and content not in self._parameter_sets:
            self._parameter_sets.add(content)
            if unit_type == self.SPS:
                self.parse_sps(content)

    @staticmethod
    @abstractmethod
    def unit_type(unit: bytes) -> int:
        """nal_unit_type."""

    @staticmethod
    @abstractmethod
    def is_slice(unit: bytes) -> bool:
        """Whether the unit is a part of a coded picture."""

    @abstractmethod
    def parse_slice(self, unit: bytes, preceding: list[bytes], /) -> ReferenceInfo:
        """What a picture's first slice and the units before it say to a decoder that has their parameter sets."""

    @abstractmethod
    def parse_sps(self, unit: bytes) -> None:
        """Parse a sequence parameter set."""

    @staticmethod
    @abstractmethod
    def _configuration(extradata: bytes) -> tuple[int, list[bytes]]:
        """The size of the length field before each unit, 0 for start codes, and the units in the extradata."""


def nal_units(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    """Split a packet into its NAL units, each cut to MAX_UNIT_BYTES; empty ones are left out.

    Some phones and servers write several units behind one length, with start codes between them. libav splits these.

    Args:
        packet: units, each preceded by its length, or by a start code (ITU-T H.264, annex B).
        length_bytes: size of the length field; 0 for start codes.
    """
    if not length_bytes:
        yield from _units_after_start_codes(packet, packet.find(START_CODE), len(packet))
        return
    at = 0
    while at + length_bytes < len(packet):
        begin = at + length_bytes
        at = begin + int.from_bytes(packet[at:begin], "big")
        stop = min(at, len(packet))
        following = packet.find(START_CODE, begin, min(stop, begin + MAX_UNIT_BYTES))
        if unit := packet[begin : following if following >= 0 else min(stop, begin + MAX_UNIT_BYTES)]:
            yield unit
        if following < 0:
            following = packet.find(START_CODE, begin + MAX_UNIT_BYTES - len(START_CODE) + 1, stop)
        yield from _units_after_start_codes(packet, following, stop)


def _units_after_start_codes(packet: bytes, at: int, stop: int) -> Iterator[bytes]:
    """The units from a start code on; `at` is negative if there is none."""
    while 0 <= at < stop - len(START_CODE):
        begin = at + len(START_CODE)
        at = packet.find(START_CODE, begin, stop)
        if unit := packet[begin : min(at if at >= 0 else stop, begin + MAX_UNIT_BYTES)]:
            yield unit


def counted_units(configuration: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """Read units that are preceded by lengths of two bytes.

    Args:
        configuration: a configuration record.
        at: the offset of the first length.
        count: how many units to read; fewer are read where the record ends early.

    Returns:
        The units, and the offset after the last one.
    """
    units = []
    for _ in range(count):
        length = int.from_bytes(configuration[at : at + 2], "big")
        unit = configuration[at + 2 : at + 2 + length]
        if not unit:
            break
        units.append(unit)
        at += 2 + length
    return units, at


def without_emulation_prevention(unit: bytes) -> bytes:
    """A unit's content without the bytes that keep start codes out of it, ITU-T H.264, 7.4.1."""
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")
