"""What H.264 and H.265 say of who needs a picture, in the headers of their units; child processes only."""

from collections.abc import Iterator

from media.bits import BitReader
from media.references import References

START_CODE = b"\x00\x00\x01"
CONFIGURATION_VERSION = b"\x01"
"""The first byte of a container's configuration of a stream; other extradata is units behind start codes."""
UNIT_HEAD_BYTES = 1024
"""More than any parameter set needs."""
CHROMA_444 = 3
SMALL_SCALING_LISTS = 6


class H264(References):
    """ITU-T H.264: nal_ref_idc is 0 in all slices of a picture that no other refers to, 7.4.1.

    Not where fields are coded: a packet may then hold one field, and its picture need the other.
    """

    IDR, SPS, SLICES = 5, 7, (1, 5)
    AVCC_HEAD_BYTES = 6
    """Of the configuration in a container, ISO/IEC 14496-15, 5.3.3.1; parameter sets follow."""
    HIGH_PROFILES = frozenset([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135])

    def __init__(self, extradata: bytes) -> None:
        self._length_bytes = 0
        self._has_frames_only: dict[bytes, bool] = {}
        if extradata.startswith(CONFIGURATION_VERSION) and len(extradata) > self.AVCC_HEAD_BYTES:
            self._length_bytes = (extradata[4] & 3) + 1
            at = self.AVCC_HEAD_BYTES
            for _ in range(extradata[5] & 31):
                length = int.from_bytes(extradata[at : at + 2], "big")
                self._learn(extradata[at + 2 : at + 2 + length])
                at += 2 + length
        else:
            self._first_slice(extradata)

    def is_disposable(self, packet: bytes, /) -> bool:
        """By nal_ref_idc, in a stream without fields."""
        header = self._first_slice(packet)
        return header is not None and header >> 5 == 0 and self._is_free_of_fields()

    def restarts(self, packet: bytes, /) -> bool:
        """At an instantaneous decoding refresh, in a stream without fields."""
        header = self._first_slice(packet)
        return header is not None and header & 31 == self.IDR and self._is_free_of_fields()

    def is_shown(self, packet: bytes, /) -> bool:
        """Whether there is a slice."""
        return self._first_slice(packet) is not None

    def _is_free_of_fields(self) -> bool:
        return bool(self._has_frames_only) and all(self._has_frames_only.values())

    def _first_slice(self, packet: bytes) -> int | None:
        """The header of the first unit with picture content; parameter sets before it are learnt."""
        for unit in nal_units(packet, self._length_bytes):
            kind = unit[0] & 31
            if kind in self.SLICES:
                return unit[0]
            if kind == self.SPS:
                self._learn(unit)
        return None

    def _learn(self, parameters: bytes) -> None:
        if parameters not in self._has_frames_only:
            try:
                self._has_frames_only[parameters] = self._frames_only(BitReader(without_escapes(parameters[1:])))
            except EOFError:
                self._has_frames_only[parameters] = False

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


class Hevc(References):
    """ITU-T H.265: even types to 14 are referred to by no picture of their temporal layer, 7.4.2.2.

    So nobody refers to one of the highest layer.
    """

    SPS, LAST_SLICE, LAST_DISPOSABLE, IDR = 33, 31, 14, (19, 20)
    HVCC_HEAD_BYTES, SPS_HEAD_BYTES = 23, 3

    def __init__(self, extradata: bytes) -> None:
        self._length_bytes = 0
        self._highest_layers: set[int] = set()
        if extradata.startswith(CONFIGURATION_VERSION) and len(extradata) >= self.HVCC_HEAD_BYTES:
            self._length_bytes = (extradata[21] & 3) + 1
            self._learn_all(extradata)
        else:
            self._first_slice(extradata)

    def is_disposable(self, packet: bytes, /) -> bool:
        """By the unit's type and layer."""
        unit = self._first_slice(packet)
        if unit is None or len(self._highest_layers) != 1:
            return False
        kind, layer = unit[0] >> 1 & 63, (unit[1] & 7) - 1
        return kind <= self.LAST_DISPOSABLE and kind % 2 == 0 and layer in self._highest_layers

    def restarts(self, packet: bytes, /) -> bool:
        """At an instantaneous decoding refresh."""
        unit = self._first_slice(packet)
        return unit is not None and unit[0] >> 1 & 63 in self.IDR

    def is_shown(self, packet: bytes, /) -> bool:
        """Whether there is a slice."""
        return self._first_slice(packet) is not None

    def _first_slice(self, packet: bytes) -> bytes | None:
        for unit in nal_units(packet, self._length_bytes):
            kind = unit[0] >> 1 & 63
            if kind <= self.LAST_SLICE and len(unit) > 1:
                return unit
            if kind == self.SPS:
                self._learn(unit)
        return None

    def _learn_all(self, configuration: bytes) -> None:
        """Parameter sets of an hvcC box, ISO/IEC 14496-15, 8.3.3.1."""
        at = self.HVCC_HEAD_BYTES
        for _ in range(configuration[22]):
            kind = configuration[at] & 63 if at < len(configuration) else -1
            units = int.from_bytes(configuration[at + 1 : at + 3], "big")
            at += 3
            for _ in range(units):
                length = int.from_bytes(configuration[at : at + 2], "big")
                if kind == self.SPS:
                    self._learn(configuration[at + 2 : at + 2 + length])
                at += 2 + length

    def _learn(self, parameters: bytes) -> None:
        if len(parameters) >= self.SPS_HEAD_BYTES:
            self._highest_layers.add(parameters[2] >> 1 & 7)  # sps_max_sub_layers_minus1


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
    while 0 <= at < len(packet) - 3:
        following = packet.find(START_CODE, at + 3)
        stop = following if following >= 0 else len(packet)
        yield packet[at + 3 : min(stop, at + 3 + UNIT_HEAD_BYTES)]
        at = following


def without_escapes(unit: bytes) -> bytes:
    """A unit's content without the bytes that keep start codes out of it."""
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")
