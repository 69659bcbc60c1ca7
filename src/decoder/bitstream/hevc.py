"""HEVC. Sections are those of ITU-T H.265."""

from dataclasses import replace

from decoder.bitstream.base import ALL_SLOTS, ReferenceInfo
from decoder.bitstream.nal import CONFIGURATION_VERSION, NalParser, counted_units, nal_units


class Hevc(NalParser):
    """Pictures of even types up to 14 are sub-layer non-reference pictures, 7.4.2.2.

    No picture of the same temporal sub-layer references them. So no picture at all does so in the highest sub-layer.
    """

    SPS, PPS, SEI_TYPES = 33, 34, (39, 40)
    LAST_SLICE, LAST_NON_REFERENCE = 31, 14
    BROKEN_LINKS, IDR, CRA = (16, 17, 18), (19, 20), 21
    SKIPPED_LEADING = (8, 9)
    """Leading pictures that refer to pictures before their random access point."""
    ENDS = tuple(start + bytes([end << 1, 1]) for start in (b"\0\0\1", b"\0\0\0\2") for end in (36, 37))
    """An end of sequence or of the bitstream, after a start code or after its length."""
    TAIL_BYTES = 32
    """More than such a unit takes at the end of a packet, or behind the delimiter at its beginning."""
    RECORD_BYTES = 23
    """Size of a configuration record up to its arrays of parameter sets, ISO/IEC 14496-15, 8.3.3.1."""
    UNIT_HEADER_BYTES, SPS_START_BYTES = 2, 3

    def __init__(self, extradata: bytes = b"") -> None:
        self._highest_sub_layers: set[int] = set()
        self._has_ended = self._is_after_broken_link = False
        super().__init__(extradata)

    @staticmethod
    def unit_type(unit: bytes) -> int:
        """nal_unit_type."""
        return unit[0] >> 1 & 63

    @staticmethod
    def is_slice(unit: bytes) -> bool:
        """Whether the unit is a slice segment."""
        return Hevc.unit_type(unit) <= Hevc.LAST_SLICE and len(unit) >= Hevc.UNIT_HEADER_BYTES

    def parse(self, packet: bytes) -> ReferenceInfo:
        """Parse as any packet of units, up to the first end of a sequence that is not the stream's own end.

        A CRA picture after it makes decoders throw away what they have not shown yet, and leave out its own leading
        pictures, C.5.2.2: which pictures are shown from here on is not for the headers to say.
        """
        info = super().parse(packet)
        has_ended = self._has_ended
        edges = packet[: self.TAIL_BYTES], packet[-self.TAIL_BYTES :]
        self._has_ended |= any(end in edge for end in self.ENDS for edge in edges)
        if has_ended:
            return ReferenceInfo(is_output=None, may_hide=True)
        return replace(info, may_hide=True) if self._has_ended else info

    def parse_slice(self, unit: bytes, _preceding: list[bytes], /) -> ReferenceInfo:
        """Type and sub-layer tell whether the picture is referenced; IDR is a closed RAP, CRA an open one.

        A broken link is a closed one, too: decoders leave out the leading pictures that refer to pictures before it,
        8.1.3, and nothing refers to those.
        """
        unit_type, sub_layer = self.unit_type(unit), (unit[1] & 7) - 1
        if unit_type >= self.BROKEN_LINKS[0]:
            self._is_after_broken_link = unit_type in self.BROKEN_LINKS
        elif self._is_after_broken_link and unit_type in self.SKIPPED_LEADING:
            return ReferenceInfo(is_output=False, ref_slots=0, refresh_slots=0, is_certain=True)
        is_non_reference = unit_type <= self.LAST_NON_REFERENCE and unit_type % 2 == 0
        is_disposable = is_non_reference and self._highest_sub_layers == {sub_layer}
        return ReferenceInfo(
            refresh_slots=0 if is_disposable else ALL_SLOTS,
            is_closed_rap=unit_type in self.IDR or unit_type in self.BROKEN_LINKS,
            is_open_rap=unit_type == self.CRA,
            is_certain=True,
        )

    def parse_sps(self, unit: bytes) -> None:
        """Note sps_max_sub_layers_minus1, 7.3.2.2.1."""
        if len(unit) >= self.SPS_START_BYTES:
            self._highest_sub_layers.add(unit[2] >> 1 & 7)

    @staticmethod
    def _configuration(extradata: bytes) -> tuple[int, list[bytes]]:
        if not extradata.startswith(CONFIGURATION_VERSION) or len(extradata) < Hevc.RECORD_BYTES:
            return 0, list(nal_units(extradata, 0))
        units: list[bytes] = []
        at = Hevc.RECORD_BYTES
        for _ in range(extradata[22]):
            found, at = counted_units(extradata, at + 3, int.from_bytes(extradata[at + 1 : at + 3], "big"))
            units += found
        return (extradata[21] & 3) + 1, units
