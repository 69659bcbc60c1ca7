"""AV1: each frame names the slots of the decoded picture buffer that it references and those that it refreshes.

Sections are those of the AV1 Bitstream & Decoding Process Specification.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from decoder.bitstream.base import ALL_SLOTS, BitstreamParser, ReferenceInfo
from decoder.bitstream.bits import BitReader

SEQUENCE_HEADER, FRAME_HEADER, TILE_GROUP, FRAME, REDUNDANT_FRAME_HEADER, PADDING = 1, 3, 4, 6, 7, 15
"""Values of obu_type, 6.2.2."""
TYPE_SHIFT, TYPE_MASK = 3, 15 << 3
"""The place of obu_type in the first byte of an OBU, 5.3.2."""
HAS_EXTENSION, HAS_SIZE = 4, 2
"""Bits of the first byte of an OBU, 5.3.2."""
KEY_FRAME, INTER_FRAME, INTRA_ONLY_FRAME, SWITCH_FRAME = range(4)
SELECT = 2
"""seq_force_screen_content_tools and seq_force_integer_mv have this value where each frame makes its own choice."""
LAST_LEVEL_WITHOUT_TIER = 7
NUM_REF_FRAMES, REFS_PER_FRAME = 8, 7
FRAME_HEADER_BYTES = 64
"""More than a frame header needs up to the slots that it references."""
MAX_LEB128_BYTES = 8


class UnsupportedSyntax(Exception):
    """A stream uses a feature whose syntax is not parsed here."""


@dataclass(frozen=True, slots=True)
class SequenceHeader:
    """What the parsing of frame headers depends on."""

    order_hint_bits: int
    screen_content_tools: int
    integer_mv: int

    def skip_to_order_hint(self, bits: BitReader, *, is_switch: bool) -> None:
        """Read from disable_cdf_update to order_hint, 5.9.2."""
        bits.read(1)  # disable_cdf_update
        tools = bits.read(1) if self.screen_content_tools == SELECT else self.screen_content_tools
        if tools and self.integer_mv == SELECT:
            bits.read(1)  # force_integer_mv
        if not is_switch:
            bits.read(1)  # frame_size_override_flag
        bits.read(self.order_hint_bits)

    def ref_slots(self, bits: BitReader, *, is_error_resilient: bool) -> int:
        """The slots that an inter frame references; all of them where the header does not simply list them."""
        if self.order_hint_bits and (is_error_resilient or bits.read(1)):  # frame_refs_short_signaling
            return ALL_SLOTS
        slots = 0
        for _ in range(REFS_PER_FRAME):
            slots |= 1 << bits.read(3)
        return slots


class Av1(BitstreamParser):
    """Parses temporal units; from the first one on that it does not understand, it says that everything is needed."""

    def __init__(self, extradata: bytes = b"") -> None:
        super().__init__(extradata)
        self._sequence: SequenceHeader | None = None
        self._sequence_obu = b""
        self._is_understood = True
        self._key_slots = 0
        """The slots that hold keyframes: showing one of them again refreshes all slots with it."""

    def parse(self, packet: bytes, /) -> ReferenceInfo:
        """Parse the headers of all frames of a temporal unit, 7.5."""
        if self._is_understood:
            try:
                return self._parse_temporal_unit(packet)
            except (UnsupportedSyntax, EOFError):
                self._is_understood = False
        return ReferenceInfo()

    def _parse_temporal_unit(self, packet: bytes) -> ReferenceInfo:
        frames: list[ReferenceInfo] = []
        ref_slots = refresh_slots = 0
        has_sequence_header = is_closed_rap = False
        for obu in split_obus(packet):
            if obu.type == SEQUENCE_HEADER:
                self._note_sequence_header(obu.content)
                has_sequence_header = True
            elif obu.type in (FRAME_HEADER, FRAME):
                frame = self._parse_frame_header(BitReader(obu.content[:FRAME_HEADER_BYTES]))
                is_closed_rap |= frame.is_closed_rap and not refresh_slots
                ref_slots |= frame.ref_slots & ~refresh_slots
                refresh_slots |= frame.refresh_slots
                frames.append(frame)
        return ReferenceInfo(
            ref_slots=ref_slots,
            refresh_slots=refresh_slots,
            is_closed_rap=is_closed_rap and has_sequence_header,
            is_certain=any(frame.is_output for frame in frames),
            frames=tuple(frames),
            has_header=has_sequence_header,
        )

    def drop_frames(self, packet: bytes, frames: set[int], /) -> bytes:
        """Turn all OBUs of these frames into padding, 5.7, which decoders pass over."""
        changed = bytearray(packet)
        index = -1
        for obu in split_obus(packet):
            index += obu.type in (FRAME_HEADER, FRAME)
            if index in frames and obu.type in (FRAME_HEADER, FRAME, TILE_GROUP, REDUNDANT_FRAME_HEADER):
                changed[obu.at] = changed[obu.at] & ~TYPE_MASK | PADDING << TYPE_SHIFT
        return bytes(changed)

    def _note_sequence_header(self, obu: bytes) -> None:
        if self._sequence is not None and obu != self._sequence_obu:
            raise UnsupportedSyntax("a sequence header that changes midway")
        self._sequence_obu, self._sequence = obu, parse_sequence_header(BitReader(obu))

    def _parse_frame_header(self, bits: BitReader) -> ReferenceInfo:
        """Read uncompressed_header, 5.9.2, as far as the slots."""
        if self._sequence is None:
            raise UnsupportedSyntax("a frame before the first sequence header")
        if bits.read(1):  # show_existing_frame
            return self._shown_again(1 << bits.read(3))
        frame_type, is_shown = bits.read(2), bits.read(1)
        if not is_shown:
            bits.read(1)  # showable_frame
        is_closed_rap = frame_type == KEY_FRAME and is_shown == 1
        is_error_resilient = is_closed_rap or frame_type == SWITCH_FRAME or bits.read(1) == 1
        is_intra = frame_type in (KEY_FRAME, INTRA_ONLY_FRAME)
        self._sequence.skip_to_order_hint(bits, is_switch=frame_type == SWITCH_FRAME)
        if not (is_intra or is_error_resilient):
            bits.read(3)  # primary_ref_frame: one of those that are referenced
        refreshes_all = is_closed_rap or frame_type == SWITCH_FRAME
        refresh_slots = ALL_SLOTS if refreshes_all else bits.read(NUM_REF_FRAMES)
        if frame_type == KEY_FRAME:
            self._key_slots |= refresh_slots
        else:
            self._key_slots &= ~refresh_slots
        if is_intra:
            return ReferenceInfo(
                is_output=is_shown == 1, ref_slots=0, refresh_slots=refresh_slots, is_closed_rap=is_closed_rap
            )
        ref_slots = self._sequence.ref_slots(bits, is_error_resilient=is_error_resilient)
        return ReferenceInfo(is_output=is_shown == 1, ref_slots=ref_slots, refresh_slots=refresh_slots)

    def _shown_again(self, slot: int) -> ReferenceInfo:
        """A frame that is shown from its slot; a keyframe then refreshes all slots, 7.21."""
        if not slot & self._key_slots:
            return ReferenceInfo(ref_slots=slot, refresh_slots=0)
        self._key_slots = ALL_SLOTS
        return ReferenceInfo(ref_slots=slot)


def parse_sequence_header(bits: BitReader) -> SequenceHeader:
    """Read sequence_header_obu, 5.5.1.

    Raises:
        UnsupportedSyntax: still pictures, a decoder model, several operating points, or frame id numbers.
        EOFError: the header is cut off.
    """
    bits.read(3)  # seq_profile
    if bits.read(2):  # still_picture, reduced_still_picture_header
        raise UnsupportedSyntax("a still picture")
    _skip_timing_info(bits)
    has_display_delay = bits.read(1)
    if bits.read(5):  # operating_points_cnt_minus_1
        raise UnsupportedSyntax("several operating points")
    bits.read(12)  # operating_point_idc
    if bits.read(5) > LAST_LEVEL_WITHOUT_TIER:  # seq_level_idx
        bits.read(1)  # seq_tier
    if has_display_delay and bits.read(1):
        bits.read(4)  # initial_display_delay_minus_1
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    bits.read(width_bits + height_bits)
    if bits.read(1):  # frame_id_numbers_present_flag
        raise UnsupportedSyntax("frame id numbers")
    bits.read(7)  # use_128x128_superblock to enable_dual_filter
    has_order_hint = bits.read(1)
    if has_order_hint:
        bits.read(2)  # enable_jnt_comp, enable_ref_frame_mvs
    screen_content_tools = SELECT if bits.read(1) else bits.read(1)
    integer_mv = SELECT
    if screen_content_tools and not bits.read(1):  # seq_choose_integer_mv
        integer_mv = bits.read(1)
    return SequenceHeader(bits.read(3) + 1 if has_order_hint else 0, screen_content_tools, integer_mv)


def _skip_timing_info(bits: BitReader) -> None:
    """Read timing_info, 5.5.3, where it is present."""
    if bits.read(1):  # timing_info_present_flag
        bits.read(64)  # num_units_in_display_tick, time_scale
        if bits.read(1):  # equal_picture_interval
            bits.unsigned()  # num_ticks_per_picture_minus_1
        if bits.read(1):  # decoder_model_info_present_flag
            raise UnsupportedSyntax("a decoder model")


@dataclass(frozen=True, slots=True)
class Obu:
    """An open bitstream unit."""

    at: int
    """The offset of its header in the packet."""
    type: int
    content: bytes


def split_obus(packet: bytes) -> Iterator[Obu]:
    """Split a packet into its open bitstream units, 5.3.

    Raises:
        UnsupportedSyntax: a unit does not tell its size.
        EOFError: a unit's size is cut off, or longer than it may be.
    """
    at = 0
    while at < len(packet):
        header = packet[at]
        if not header & HAS_SIZE:
            raise UnsupportedSyntax("a unit without its size")
        size, content_at = leb128(packet, at + (2 if header & HAS_EXTENSION else 1))
        yield Obu(at, (header & TYPE_MASK) >> TYPE_SHIFT, packet[content_at : content_at + size])
        at = content_at + size


def leb128(content: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits per byte, 4.10.5.

    Returns:
        The number, and the offset after it.

    Raises:
        EOFError: it does not end in time.
    """
    value = shift = 0
    for place in range(at, min(at + MAX_LEB128_BYTES, len(content))):
        value |= (content[place] & 127) << shift
        if not content[place] & 128:
            return value, place + 1
        shift += 7
    raise EOFError
