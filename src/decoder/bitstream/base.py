"""What the headers of a coded picture say of who needs it; child processes only.

Nothing here decodes, and nothing is taken on trust that would change a picture: what is not understood is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from decoder.bitstream.bits import BitReader

ALL_SLOTS = 255


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of a packet; slots are where decoders keep pictures from which others are decoded."""

    is_shown: bool | None = True
    """It gives a picture to show; None if that is not sure."""
    reads: int = ALL_SLOTS
    """Slots, a bit each, that it is decoded from."""
    writes: int = ALL_SLOTS
    """Slots that it fills; 0 if no other picture is decoded from it."""
    restarts: bool = False
    """Neither this picture nor any after it, in decoding order, is decoded from one before it."""
    restarts_open: bool = False
    """The same of those after it that are shown after it; those shown before it, which lead it, may need what is
    before it, and nothing else needs them."""
    frames: tuple[Traits, ...] = ()
    """Of a packet of several pictures that can be left out one by one, theirs, in decoding order."""


class References:
    """Of one stream; this one's codec is not understood.

    Args:
        extradata: the stream's configuration, as its container gives it; most codecs are read without.
    """

    def __init__(self, extradata: bytes = b"") -> None:
        pass

    def traits(self, _packet: bytes, /) -> Traits:
        """Read the headers of the next packet in decoding order."""
        return Traits()

    def without(self, packet: bytes, _frames: set[int], /) -> bytes:
        """Return a packet of the same length without these of its `Traits.frames`, counted from 0."""
        return packet


class IntraOnly(References):
    """Motion JPEG and ProRes: every picture stands alone."""

    def traits(self, _packet: bytes, /) -> Traits:
        """The same for all."""
        return Traits(reads=0, writes=0, restarts=True)


class Mpeg2(References):
    """MPEG-1 and MPEG-2: nobody refers to a B picture."""

    SEQUENCE, PICTURE = b"\x00\x00\x01\xb3", b"\x00\x00\x01\x00"
    INTRA, B = 1, 3

    def traits(self, packet: bytes, /) -> Traits:
        """By picture_coding_type, ISO/IEC 13818-2, 6.2.3; an I picture behind a sequence header has all it needs."""
        at = packet.find(self.PICTURE)
        kind = packet[at + 5] >> 3 & 7 if 0 <= at < len(packet) - 5 else None
        is_whole = kind == self.INTRA and 0 <= packet.find(self.SEQUENCE) < at
        return Traits(writes=0 if kind == self.B else ALL_SLOTS, restarts_open=is_whole)


class Mpeg4(References):
    """MPEG-4 Part 2: nobody refers to a B-VOP, but libavcodec takes the time between fields from the first one."""

    LAYER, VOP, B = b"\x00\x00\x01\x20", b"\x00\x00\x01\xb6", 2
    EXTENDED_ASPECT = 15
    SMALLEST_BYTES = 16
    """A smaller packet may be one that is "not coded", and gives no picture."""

    def __init__(self, extradata: bytes) -> None:
        self._is_progressive = False
        self._read_layer(extradata)

    def traits(self, packet: bytes, /) -> Traits:
        """By vop_coding_type, ISO/IEC 14496-2, 6.2.5."""
        self._read_layer(packet)
        if len(packet) < self.SMALLEST_BYTES:
            return Traits(is_shown=None)
        at = packet.find(self.VOP)
        is_b = 0 <= at < len(packet) - 4 and packet[at + 4] >> 6 == self.B
        return Traits(writes=0 if is_b and self._is_progressive else ALL_SLOTS)

    def _read_layer(self, content: bytes) -> None:
        if (at := content.find(self.LAYER)) >= 0:
            try:
                self._is_progressive = not self._has_fields(BitReader(content[at + len(self.LAYER) :][:64]))
            except EOFError:
                self._is_progressive = False

    def _has_fields(self, bits: BitReader) -> bool:
        """`interlaced` of a video object layer, ISO/IEC 14496-2, 6.2.3; of other shapes than a rectangle, in doubt."""
        bits.read(1 + 8)
        if bits.read(1):
            bits.read(4 + 3)
        if bits.read(4) == self.EXTENDED_ASPECT:
            bits.read(8 + 8)
        if bits.read(1):
            bits.read(2 + 1)
            if bits.read(1):
                bits.read(79)
        if bits.read(2):
            return True
        bits.read(1)
        ticks = bits.read(16)
        bits.read(1)
        if bits.read(1):
            bits.read(max(1, (ticks - 1).bit_length()))
        bits.read(1 + 13 + 1 + 13 + 1)
        return bool(bits.read(1))


class Vp8(References):
    """VP8: a keyframe sets everything anew; hidden pictures have packets of their own."""

    def traits(self, packet: bytes, /) -> Traits:
        """By the frame tag, RFC 6386, 9.1."""
        if not packet:
            return Traits(is_shown=False)
        return Traits(is_shown=bool(packet[0] & 16), restarts=packet[0] & 1 == 0)


class Vp9(References):
    """VP9: a keyframe sets everything anew; hidden pictures ride in the packet of a shown one."""

    HEADER_BYTES, FRAME_MARKER, SUPERFRAME_MARKER = 2, 2, 6
    RESERVED_BIT_PROFILE = 3

    def traits(self, packet: bytes, /) -> Traits:
        """By the header of the first picture, bitstream specification 0.6, 6.2; of several the last one is shown."""
        bits = BitReader(packet[: self.HEADER_BYTES])
        if len(packet) < self.HEADER_BYTES or bits.read(2) != self.FRAME_MARKER:
            return Traits()
        if bits.read(2) == self.RESERVED_BIT_PROFILE:
            bits.read(1)
        shows_existing, is_predicted, is_shown = bits.read(1), bits.read(1), bits.read(1)
        is_superframe = packet[-1] >> 5 == self.SUPERFRAME_MARKER
        return Traits(
            is_shown=bool(is_superframe or shows_existing or is_shown), restarts=not (shows_existing or is_predicted)
        )
