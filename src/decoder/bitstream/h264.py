"""H.264. Sections are those of ITU-T H.264."""

from dataclasses import dataclass
from itertools import chain

from decoder.bitstream.base import ALL_SLOTS, ReferenceInfo
from decoder.bitstream.bits import BitReader
from decoder.bitstream.nal import (
    CONFIGURATION_VERSION,
    NalParser,
    counted_units,
    nal_units,
    without_emulation_prevention,
)

EXTENDED_SAR = 255
"""The aspect_ratio_idc that is followed by a width and a height, table E-1."""
CHROMA_444 = 3
NUM_4X4_LISTS = 6
"""The first scaling lists have 4x4 entries, those after them 8x8."""


@dataclass(frozen=True, slots=True)
class ReferenceNumber:
    """The number of a picture among the reference pictures since the last IDR picture, frame_num, 7.4.3."""

    value: int
    stop: int
    """After stop - 1 comes 0."""
    is_reference: bool
    is_idr: bool


class ReferenceCount:
    """Tells where reference pictures are missing: their numbers do not follow each other, 7.4.3.

    Args:
        extradata: the stream's configuration.
    """

    def __init__(self, extradata: bytes) -> None:
        self._parser = H264(extradata)
        self._last: int | None = None
        """The number of the last reference picture."""

    def jumps_before(self, packet: bytes) -> bool:
        """Whether numbers are missing before the next packet in decoding order."""
        number = self._parser.reference_number(packet)
        if number is None or number.is_idr or self._last is None:
            self._last = None if number is None else number.value
            return False
        jumps = (number.value - self._last) % number.stop > 1
        if number.is_reference:
            self._last = number.value
        elif jumps:
            self._last = (number.value - 1) % number.stop
        return jumps


class H264(NalParser):
    """nal_ref_idc is 0 in all slices of a non-reference picture, 7.4.1.

    That is not used where fields are coded: a packet may then hold one field, and its frame needs the other one.
    """

    SEI_TYPES, SPS, PPS = (6,), 7, 8
    UNIT_HEADER_BYTES = 1
    RECOVERY_POINT = 6
    IDR_SLICE, SLICES = 5, (1, 5)
    SLICE_HEADER_BYTES = 32
    """More than a slice's header has up to its fields."""
    RECORD_BYTES = 6
    """Size of a configuration record up to its parameter sets, ISO/IEC 14496-15, 5.3.3.1."""
    HIGH_PROFILES = frozenset([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135])
    """Values of profile_idc with which a sequence parameter set tells chroma format and scaling lists, 7.3.2.1.1."""

    def __init__(self, extradata: bytes = b"") -> None:
        self._may_have_fields = self._says_how_shown = self._may_skip_numbers = False
        self._frame_num_bits: set[int] = set()
        self._first_field: tuple[int, int] | None = None
        """frame_num and parity of the field before, if that was a picture's first one."""
        super().__init__(extradata)

    @property
    def may_have_fields(self) -> bool:
        """Whether a sequence parameter set allows coded fields, or could not be read."""
        return self._may_have_fields

    @property
    def remembers(self) -> bool:
        """Whether pic_struct, D.2.3, may be the only sign of interlacing.

        libav takes a frame that is shown as two fields, where nothing else is said of it, for as interlaced as the
        picture before it. Frames with adaptive macroblocks are always interlaced.
        """
        return self._says_how_shown

    @staticmethod
    def unit_type(unit: bytes) -> int:
        """nal_unit_type."""
        return unit[0] & 31

    @staticmethod
    def is_slice(unit: bytes) -> bool:
        """Whether the unit is a coded slice without data partitioning."""
        return unit[0] & 31 in H264.SLICES

    def parse_slice(self, unit: bytes, preceding: list[bytes], /) -> ReferenceInfo:
        """nal_ref_idc tells whether the picture is referenced; an IDR picture is a closed RAP."""
        if self._may_have_fields:
            is_second = self._is_second_field(unit)
            return ReferenceInfo(is_output=None if is_second else True, is_second_field=is_second)
        units = [unit for unit in preceding if self.unit_type(unit) in self.SEI_TYPES]
        messages = chain.from_iterable(map(self.messages_of, units))
        counts = [_recovery_count(payload) for payload_type, payload in messages if payload_type == self.RECOVERY_POINT]
        exact_after = next((count for count in counts if count is not None), None)
        return ReferenceInfo(
            refresh_slots=ALL_SLOTS if unit[0] >> 5 else 0,
            is_closed_rap=self.unit_type(unit) == self.IDR_SLICE,
            is_open_rap=exact_after == 0 and not self.remembers,
            exact_after=exact_after,
            is_certain=True,
        )

    def _is_second_field(self, unit: bytes) -> bool:
        """Read a slice header, 7.3.3, as far as bottom_field_flag: a second field has the frame_num of the first."""
        first, self._first_field = self._first_field, None
        if len(self._frame_num_bits) != 1:
            return False
        bits = self._slice_header(unit)
        try:
            frame_num = self._frame_num(bits)
            if not bits.read(1):  # field_pic_flag
                return False
            parity = bits.read(1)
        except EOFError:
            return False
        if first == (frame_num, 1 - parity):
            return True
        self._first_field = frame_num, parity
        return False

    def reference_number(self, packet: bytes) -> ReferenceNumber | None:
        """Read how a packet's picture is numbered; None where that cannot be read or numbers may be left out."""
        first_slice = self._first_slice(packet)[0]
        if first_slice is None or self._may_skip_numbers or len(self._frame_num_bits) != 1:
            return None
        try:
            frame_num = self._frame_num(self._slice_header(first_slice))
        except EOFError:
            return None
        (bits,) = self._frame_num_bits
        is_idr = self.unit_type(first_slice) == self.IDR_SLICE
        return ReferenceNumber(frame_num, 1 << bits, bool(first_slice[0] >> 5), is_idr)

    @staticmethod
    def _slice_header(unit: bytes) -> BitReader:
        return BitReader(without_emulation_prevention(unit[1 : H264.SLICE_HEADER_BYTES]))

    def _frame_num(self, bits: BitReader) -> int:
        """Read a slice header, 7.3.3, as far as frame_num, whose size must be known."""
        bits.unsigned(), bits.unsigned(), bits.unsigned()  # first_mb_in_slice, slice_type, pic_parameter_set_id
        return bits.read(*self._frame_num_bits)

    def parse_sps(self, unit: bytes) -> None:
        """Look for coded fields, and for pic_struct; a set that cannot be read may allow them."""
        bits = BitReader(without_emulation_prevention(unit[1:]))
        frame_mbs_only = False
        try:
            frame_mbs_only = self._frame_mbs_only(bits)
            has_adaptive_frames = not frame_mbs_only and bits.read(1) == 1  # mb_adaptive_frame_field_flag
            self._says_how_shown |= _has_pic_struct(bits) and not has_adaptive_frames
        except EOFError:
            self._says_how_shown = True
        self._may_have_fields |= not frame_mbs_only

    @staticmethod
    def _configuration(extradata: bytes) -> tuple[int, list[bytes]]:
        if not extradata.startswith(CONFIGURATION_VERSION) or len(extradata) <= H264.RECORD_BYTES:
            return 0, list(nal_units(extradata, 0))
        sps_units, at = counted_units(extradata, H264.RECORD_BYTES, extradata[5] & 31)
        pps_units, _ = counted_units(extradata, at + 1, extradata[at] if at < len(extradata) else 0)
        return (extradata[4] & 3) + 1, sps_units + pps_units

    def _frame_mbs_only(self, bits: BitReader) -> bool:
        """Read seq_parameter_set_data, 7.3.2.1.1, as far as frame_mbs_only_flag."""
        profile_idc = bits.read(24) >> 16
        bits.unsigned()  # seq_parameter_set_id
        if profile_idc in self.HIGH_PROFILES:
            self._skip_chroma_and_scaling(bits)
        self._frame_num_bits.add(bits.unsigned() + 4)
        pic_order_cnt_type = bits.unsigned()
        if pic_order_cnt_type == 0:
            bits.unsigned()  # log2_max_pic_order_cnt_lsb_minus4
        elif pic_order_cnt_type == 1:
            bits.read(1), bits.signed(), bits.signed()
            for _ in range(bits.unsigned()):
                bits.signed()  # offset_for_ref_frame
        bits.unsigned()  # max_num_ref_frames
        self._may_skip_numbers |= bool(bits.read(1))  # gaps_in_frame_num_value_allowed_flag
        bits.unsigned(), bits.unsigned()  # width and height
        return bool(bits.read(1))

    def _skip_chroma_and_scaling(self, bits: BitReader) -> None:
        """Read from chroma_format_idc to the scaling lists."""
        chroma_format_idc = bits.unsigned()
        if chroma_format_idc == CHROMA_444 and bits.read(1):  # separate_colour_plane_flag
            self._frame_num_bits.add(0)  # slice headers have another field before it
        bits.unsigned(), bits.unsigned(), bits.read(1)  # bit depths, qpprime_y_zero_transform_bypass_flag
        if bits.read(1):  # seq_scaling_matrix_present_flag
            for index in range(12 if chroma_format_idc == CHROMA_444 else 8):
                if bits.read(1):
                    self._skip_scaling_list(bits, 16 if index < NUM_4X4_LISTS else 64)

    @staticmethod
    def _skip_scaling_list(bits: BitReader, size: int) -> None:
        """Read scaling_list, 7.3.2.1.1.1."""
        last_scale = next_scale = 8
        for _ in range(size):
            if next_scale:
                next_scale = (last_scale + bits.signed()) % 256
            last_scale = next_scale or last_scale


def _recovery_count(payload: bytes) -> int | None:
    """After how many frames pictures are exact by a recovery point, D.1.8; None if they are not, or it is cut off."""
    bits = BitReader(payload)
    try:
        count = bits.unsigned()
        return count if bits.read(1) else None  # exact_match_flag
    except EOFError:
        return None


def _has_pic_struct(bits: BitReader) -> bool:
    """Read a sequence parameter set, 7.3.2.1.1 and E.1.1, from direct_8x8_inference_flag to pic_struct_present_flag."""
    bits.read(1)
    if bits.read(1):  # frame_cropping_flag
        bits.unsigned(), bits.unsigned(), bits.unsigned(), bits.unsigned()
    if not bits.read(1):  # vui_parameters_present_flag
        return False
    if bits.read(1) and bits.read(8) == EXTENDED_SAR:
        bits.read(32)  # sar_width, sar_height
    if bits.read(1):  # overscan_info_present_flag
        bits.read(1)
    if bits.read(1):  # video_signal_type_present_flag
        bits.read(4)
        if bits.read(1):  # colour_description_present_flag
            bits.read(24)
    if bits.read(1):  # chroma_loc_info_present_flag
        bits.unsigned(), bits.unsigned()
    if bits.read(1):  # timing_info_present_flag
        bits.read(65)
    has_nal_hrd = bits.read(1) and _skip_hrd(bits)
    if (bits.read(1) and _skip_hrd(bits)) or has_nal_hrd:
        bits.read(1)  # low_delay_hrd_flag
    return bits.read(1) == 1


def _skip_hrd(bits: BitReader) -> bool:
    """Read hrd_parameters, E.1.2, and return True."""
    count = bits.unsigned() + 1
    bits.read(8)
    for _ in range(count):
        bits.unsigned(), bits.unsigned(), bits.read(1)
    bits.read(20)
    return True
