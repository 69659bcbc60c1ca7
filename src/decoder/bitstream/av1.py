"""What AV1 says of who needs a picture: each names the slots that it is decoded from and those that it fills.

Sections are those of the AV1 Bitstream & Decoding Process Specification. Child processes only.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from decoder.bitstream.base import ALL_SLOTS, References, Traits
from decoder.bitstream.bits import BitReader

SEQUENCE_HEADER, FRAME_HEADER, TILE_GROUP, FRAME, REDUNDANT_FRAME_HEADER, PADDING = 1, 3, 4, 6, 7, 15
TYPE_SHIFT, TYPE_BITS = 3, 15 << 3
"""Where a unit's first byte says what it is, 5.3.2."""
KEY_FRAME, INTER_FRAME, INTRA_ONLY_FRAME, SWITCH_FRAME = range(4)
SELECT = 2
"""A sequence leaves a choice to its frames."""
HIGH_LEVEL = 7
"""Above this level a sequence names its tier."""
SLOTS, REFERENCES = 8, 7
HEADER_BYTES = 64
"""More than a frame header needs up to the slots that it reads."""


class NotUnderstoodError(Exception):
    """A stream uses what this file does not read."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """What a sequence header says of its frame headers."""

    order_hint_bits: int
    screen_content_tools: int
    integer_mv: int

    def skip_tools(self, bits: BitReader, *, is_switch: bool) -> None:
        """Read from disable_cdf_update to order_hint."""
        bits.read(1)
        tools = bits.read(1) if self.screen_content_tools == SELECT else self.screen_content_tools
        if tools and self.integer_mv == SELECT:
            bits.read(1)
        if not is_switch:
            bits.read(1)  # frame_size_override_flag
        bits.read(self.order_hint_bits)

    def reads(self, bits: BitReader, *, is_error_resilient: bool) -> int:
        """The slots that a predicted frame names; all where they are not simply listed."""
        if self.order_hint_bits and (is_error_resilient or bits.read(1)):  # frame_refs_short_signaling
            return ALL_SLOTS
        slots = 0
        for _ in range(REFERENCES):
            slots |= 1 << bits.read(3)
        return slots


class Av1(References):
    """Of one stream; where something is not understood everything is needed from there on."""

    def __init__(self, extradata: bytes = b"") -> None:
        super().__init__(extradata)
        self._sequence: Sequence | None = None
        self._sequence_header = b""
        self._is_understood = True
        self._key_slots = 0
        """Those that hold keyframes: showing one again fills all slots with it."""

    def traits(self, packet: bytes, /) -> Traits:
        """Read the headers of all frames of a temporal unit, 7.5."""
        if self._is_understood:
            try:
                return self._unit_traits(packet)
            except (NotUnderstoodError, EOFError):
                self._is_understood = False
        return Traits()

    def _unit_traits(self, packet: bytes) -> Traits:
        frames: list[Traits] = []
        reads = writes = 0
        has_sequence_header = restarts = False
        for unit in open_bitstream_units(packet):
            if unit.kind == SEQUENCE_HEADER:
                self._learn(unit.content)
                has_sequence_header = True
            elif unit.kind in (FRAME_HEADER, FRAME):
                frame = self._frame(BitReader(unit.content[:HEADER_BYTES]))
                restarts |= frame.restarts and not writes
                reads |= frame.reads & ~writes
                writes |= frame.writes
                frames.append(frame)
        restarts = restarts and has_sequence_header
        return Traits(reads=reads, writes=writes, restarts=restarts, frames=tuple(frames))

    def without(self, packet: bytes, frames: set[int], /) -> bytes:
        """Make padding, 5.7, of all units of these frames: decoders pass it over."""
        left = bytearray(packet)
        number = -1
        for unit in open_bitstream_units(packet):
            number += unit.kind in (FRAME_HEADER, FRAME)
            if number in frames and unit.kind in (FRAME_HEADER, FRAME, TILE_GROUP, REDUNDANT_FRAME_HEADER):
                left[unit.at] = left[unit.at] & ~TYPE_BITS | PADDING << TYPE_SHIFT
        return bytes(left)

    def _learn(self, header: bytes) -> None:
        if self._sequence is not None and header != self._sequence_header:
            raise NotUnderstoodError
        self._sequence_header, self._sequence = header, read_sequence(BitReader(header))

    def _frame(self, bits: BitReader) -> Traits:
        """uncompressed_header, 5.9.2, as far as the slots."""
        if self._sequence is None:
            raise NotUnderstoodError
        if bits.read(1):  # show_existing_frame
            return self._shown_again(1 << bits.read(3))
        kind, is_shown = bits.read(2), bits.read(1)
        if not is_shown:
            bits.read(1)  # showable_frame
        restarts = kind == KEY_FRAME and is_shown == 1
        is_error_resilient = restarts or kind == SWITCH_FRAME or bits.read(1) == 1
        is_intra = kind in (KEY_FRAME, INTRA_ONLY_FRAME)
        self._sequence.skip_tools(bits, is_switch=kind == SWITCH_FRAME)
        if not (is_intra or is_error_resilient):
            bits.read(3)  # primary_ref_frame: one of those that are read
        writes = ALL_SLOTS if restarts or kind == SWITCH_FRAME else bits.read(SLOTS)
        self._key_slots = self._key_slots | writes if kind == KEY_FRAME else self._key_slots & ~writes
        if is_intra:
            return Traits(is_shown=is_shown == 1, reads=0, writes=writes, restarts=restarts)
        reads = self._sequence.reads(bits, is_error_resilient=is_error_resilient)
        return Traits(is_shown=is_shown == 1, reads=reads, writes=writes)

    def _shown_again(self, slot: int) -> Traits:
        if not slot & self._key_slots:
            return Traits(reads=slot, writes=0)
        self._key_slots = ALL_SLOTS
        return Traits(reads=slot)


def read_sequence(bits: BitReader) -> Sequence:
    """sequence_header_obu, 5.5.1.

    Raises:
        NotUnderstoodError: still pictures, a decoder model, several operating points or frame numbers.
        EOFError: the header is cut off.
    """
    bits.read(3)
    if bits.read(2):  # a still picture
        raise NotUnderstoodError
    _skip_timing(bits)
    has_display_delay = bits.read(1)
    if bits.read(5):  # operating points, less one
        raise NotUnderstoodError
    bits.read(12)
    if bits.read(5) > HIGH_LEVEL:
        bits.read(1)
    if has_display_delay and bits.read(1):
        bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    bits.read(width_bits + height_bits)
    if bits.read(1):  # frame_id_numbers_present_flag
        raise NotUnderstoodError
    bits.read(7)
    has_order_hint = bits.read(1)
    if has_order_hint:
        bits.read(2)
    screen_content_tools = SELECT if bits.read(1) else bits.read(1)
    integer_mv = SELECT
    if screen_content_tools and not bits.read(1):
        integer_mv = bits.read(1)
    return Sequence(bits.read(3) + 1 if has_order_hint else 0, screen_content_tools, integer_mv)


def _skip_timing(bits: BitReader) -> None:
    """timing_info, 5.5.3."""
    if bits.read(1):
        bits.read(64)
        if bits.read(1):
            bits.unsigned()
        if bits.read(1):  # decoder_model_info
            raise NotUnderstoodError


@dataclass(frozen=True, slots=True)
class Unit:
    """An open bitstream unit."""

    at: int
    """The place of its header in the packet."""
    kind: int
    content: bytes


def open_bitstream_units(packet: bytes) -> Iterator[Unit]:
    """In their order, 5.3.

    Raises:
        NotUnderstoodError: a unit without its size.
        EOFError: a unit is cut off.
    """
    at = 0
    while at < len(packet):
        header = packet[at]
        if not header & 2:
            raise NotUnderstoodError
        size, content_at = leb128(packet, at + (2 if header & 4 else 1))
        yield Unit(at, (header & TYPE_BITS) >> TYPE_SHIFT, packet[content_at : content_at + size])
        at = content_at + size


def leb128(content: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, 4.10.5, and the place behind it."""
    value = shift = 0
    for place in range(at, len(content)):
        value |= (content[place] & 127) << shift
        if not content[place] & 128:
            return value, place + 1
        shift += 7
    raise EOFError
