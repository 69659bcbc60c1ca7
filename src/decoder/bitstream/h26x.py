"""What H.264 and H.265 say of who needs a picture, in the headers of their units; child processes only."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace

from decoder.bitstream.base import ALL_SLOTS, References, Traits
from decoder.bitstream.bits import BitReader

START_CODE = b"\x00\x00\x01"
CONFIGURATION_VERSION = b"\x01"
"""The first byte of a container's configuration of a stream; other extradata is units behind start codes."""
UNIT_HEAD_BYTES = 1024
"""More than any parameter set needs."""
CHROMA_444 = 3
SMALL_SCALING_LISTS = 6
LONG = 255
EXACT_HERE = 0b1100_0000
"""The first bits of a recovery point: recovery_frame_cnt is 0, exact_match_flag set."""


class NalReferences(References):
    """What both have in common: slices, and the parameter sets that they are decoded with.

    Sets that change midway may stand in any packet, and pictures far behind may need them: from there on all is needed.
    """

    SEQUENCE_SET: int
    PICTURE_SET: int

    def __init__(self, extradata: bytes) -> None:
        self._length_bytes, units = self._configuration(extradata)
        self._sets: set[bytes] = set()
        self._has_changed = False
        for unit in units:
            self._learn(unit)
        self._is_configured = bool(self._sets)

    def traits(self, packet: bytes) -> Traits:
        """By the type of the first slice."""
        first_slice = None
        before: list[bytes] = []
        is_first = not self._sets
        for unit in nal_units(packet, self._length_bytes):
            if self.is_slice(unit):
                first_slice = unit
                break
            before.append(unit)
            known = len(self._sets)
            self._learn(unit)
            self._has_changed |= len(self._sets) > known and not is_first
        if first_slice is None:
            return Traits(is_shown=False)
        if self._has_changed or not self._sets:
            return Traits()
        traits = self.slice_traits(first_slice, before)
        can_restart = self._is_configured or {self.SEQUENCE_SET, self.PICTURE_SET} <= set(map(self.kind, before))
        return traits if can_restart else replace(traits, restarts=False, restarts_open=False)

    def _learn(self, unit: bytes) -> None:
        """Note a parameter set; other units are passed over."""
        kind, content = self.kind(unit), unit.rstrip(b"\x00")
        if kind in (self.SEQUENCE_SET, self.PICTURE_SET) and content not in self._sets:
            self._sets.add(content)
            if kind == self.SEQUENCE_SET:
                self.learn_sequence(content)

    @staticmethod
    @abstractmethod
    def kind(unit: bytes) -> int:
        """The unit's type."""

    @staticmethod
    @abstractmethod
    def is_slice(unit: bytes) -> bool:
        """Whether it is a part of a picture."""

    @abstractmethod
    def slice_traits(self, unit: bytes, before: list[bytes], /) -> Traits:
        """What a picture's first slice says, and the units before it, to a decoder that has its parameter sets."""

    @abstractmethod
    def learn_sequence(self, parameters: bytes) -> None:
        """Read a sequence parameter set."""

    @staticmethod
    @abstractmethod
    def _configuration(extradata: bytes) -> tuple[int, list[bytes]]:
        """Bytes of the length before a unit, 0 for start codes, and the units in a stream's configuration."""


class H264(NalReferences):
    """ITU-T H.264: nal_ref_idc is 0 in all slices of a picture that no other refers to, 7.4.1.

    Not where fields are coded: a packet may then hold one field, and its picture need the other.
    """

    SUPPLEMENT, SEQUENCE_SET, PICTURE_SET = 6, 7, 8
    RECOVERY_POINT = 6
    IDR, SLICES = 5, (1, 5)
    HEAD_BYTES = 6
    """Of the configuration in a container, ISO/IEC 14496-15, 5.3.3.1; parameter sets follow."""
    HIGH_PROFILES = frozenset([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135])

    def __init__(self, extradata: bytes) -> None:
        self._has_fields = False
        super().__init__(extradata)

    @staticmethod
    def kind(unit: bytes) -> int:
        """nal_unit_type."""
        return unit[0] & 31

    @staticmethod
    def is_slice(unit: bytes) -> bool:
        """Coded slices without data partitioning."""
        return unit[0] & 31 in H264.SLICES

    def slice_traits(self, unit: bytes, before: list[bytes], /) -> Traits:
        """nal_ref_idc says who needs it; an instantaneous decoding refresh needs nothing."""
        if self._has_fields:
            return Traits()
        writes = ALL_SLOTS if unit[0] >> 5 else 0
        recovers = any(self.kind(other) == self.SUPPLEMENT and self._recovers_here(other) for other in before)
        return Traits(writes=writes, restarts=self.kind(unit) == self.IDR, restarts_open=recovers)

    def _recovers_here(self, supplement: bytes) -> bool:
        """Whether one of its messages, 7.3.2.3.1, is that all is exact from this very picture on, D.1.8."""
        payload = without_escapes(supplement[1:])
        at = 0
        while at + 2 < len(payload):
            kind, size_bytes, at = payload[at], payload[at + 1], at + 2
            if LONG in (kind, size_bytes):  # the number goes on in the next byte
                return False
            if kind == self.RECOVERY_POINT and payload[at] & EXACT_HERE == EXACT_HERE:
                return True
            at += size_bytes
        return False

    def learn_sequence(self, parameters: bytes) -> None:
        """Look for fields; what cannot be read may have them."""
        try:
            self._has_fields |= not self._frames_only(BitReader(without_escapes(parameters[1:])))
        except EOFError:
            self._has_fields = True

    @staticmethod
    def _configuration(extradata: bytes) -> tuple[int, list[bytes]]:
        if not extradata.startswith(CONFIGURATION_VERSION) or len(extradata) <= H264.HEAD_BYTES:
            return 0, list(nal_units(extradata, 0))
        sequence_sets, at = counted_units(extradata, H264.HEAD_BYTES, extradata[5] & 31)
        picture_sets, _ = counted_units(extradata, at + 1, extradata[at] if at < len(extradata) else 0)
        return (extradata[4] & 3) + 1, sequence_sets + picture_sets

    def _frames_only(self, bits: BitReader) -> bool:
        """frame_mbs_only_flag of a sequence parameter set, 7.3.2.1.1."""
        profile = bits.read(24) >> 16
        bits.unsigned()
        if profile in self.HIGH_PROFILES:
            chroma_format = bits.unsigned()
            if chroma_format == CHROMA_444:
                bits.read(1)
            bits.unsigned(), bits.unsigned(), bits.read(1)
            if bits.read(1):
                for index in range(12 if chroma_format == CHROMA_444 else 8):
                    if bits.read(1):
                        self._skip_scaling_list(bits, 16 if index < SMALL_SCALING_LISTS else 64)
        bits.unsigned()
        order_count_type = bits.unsigned()
        if order_count_type == 0:
            bits.unsigned()
        elif order_count_type == 1:
            bits.read(1), bits.signed(), bits.signed()
            for _ in range(bits.unsigned()):
                bits.signed()
        bits.unsigned(), bits.read(1), bits.unsigned(), bits.unsigned()
        return bool(bits.read(1))

    @staticmethod
    def _skip_scaling_list(bits: BitReader, size: int) -> None:
        last = following = 8
        for _ in range(size):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


class Hevc(NalReferences):
    """ITU-T H.265: even types to 14 are referred to by no picture of their temporal layer, 7.4.2.2.

    So nobody refers to one of the highest layer.
    """

    SEQUENCE_SET, PICTURE_SET = 33, 34
    LAST_SLICE, LAST_DISPOSABLE, IDR, CRA = 31, 14, (19, 20), 21
    HEAD_BYTES = 23
    """Of the configuration in a container, ISO/IEC 14496-15, 8.3.3.1; arrays of parameter sets follow."""
    SLICE_HEAD_BYTES, SEQUENCE_HEAD_BYTES = 2, 3

    def __init__(self, extradata: bytes) -> None:
        self._highest_layers: set[int] = set()
        super().__init__(extradata)

    @staticmethod
    def kind(unit: bytes) -> int:
        """nal_unit_type."""
        return unit[0] >> 1 & 63

    @staticmethod
    def is_slice(unit: bytes) -> bool:
        """Slice segments."""
        return Hevc.kind(unit) <= Hevc.LAST_SLICE and len(unit) >= Hevc.SLICE_HEAD_BYTES

    def slice_traits(self, unit: bytes, _before: list[bytes], /) -> Traits:
        """Type and layer say who needs it; instantaneous decoding refresh needs nothing, clean random access too."""
        kind, layer = self.kind(unit), (unit[1] & 7) - 1
        is_disposable = kind <= self.LAST_DISPOSABLE and kind % 2 == 0 and self._highest_layers == {layer}
        writes = 0 if is_disposable else ALL_SLOTS
        return Traits(writes=writes, restarts=kind in self.IDR, restarts_open=kind == self.CRA)

    def learn_sequence(self, parameters: bytes) -> None:
        """Note sps_max_sub_layers_minus1, 7.3.2.2.1."""
        if len(parameters) >= self.SEQUENCE_HEAD_BYTES:
            self._highest_layers.add(parameters[2] >> 1 & 7)

    @staticmethod
    def _configuration(extradata: bytes) -> tuple[int, list[bytes]]:
        if not extradata.startswith(CONFIGURATION_VERSION) or len(extradata) < Hevc.HEAD_BYTES:
            return 0, list(nal_units(extradata, 0))
        units: list[bytes] = []
        at = Hevc.HEAD_BYTES
        for _ in range(extradata[22]):
            found, at = counted_units(extradata, at + 3, int.from_bytes(extradata[at + 1 : at + 3], "big"))
            units += found
        return (extradata[21] & 3) + 1, units


def nal_units(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    """The first bytes of each unit: all of a parameter set, the head of a slice.

    Args:
        packet: units, each behind its length, or behind a start code (ITU-T H.264, annex B) if that has no bytes.
        length_bytes: of a length, 0 for start codes.
    """
    at = 0
    if length_bytes:
        while at + length_bytes < len(packet):
            length = int.from_bytes(packet[at : at + length_bytes], "big")
            at += length_bytes
            if length:
                yield packet[at : at + min(length, UNIT_HEAD_BYTES)]
            at += length
        return
    at = packet.find(START_CODE)
    while 0 <= at < len(packet) - len(START_CODE):
        following = packet.find(START_CODE, at + len(START_CODE))
        stop = following if following >= 0 else len(packet)
        yield packet[at + len(START_CODE) : min(stop, at + len(START_CODE) + UNIT_HEAD_BYTES)]
        at = following


def counted_units(configuration: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """Units behind lengths of two bytes, as many as are there, and the place behind them."""
    units = []
    for _ in range(count):
        length = int.from_bytes(configuration[at : at + 2], "big")
        unit = configuration[at + 2 : at + 2 + length]
        if not unit:
            break
        units.append(unit)
        at += 2 + length
    return units, at


def without_escapes(unit: bytes) -> bytes:
    """A unit's content without the bytes that keep start codes out of it."""
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")
