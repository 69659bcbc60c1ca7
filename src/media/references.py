"""What the headers of a coded picture say of who needs it; child processes only.

Nothing here decodes, and nothing is taken on trust that would change a picture: what is not understood is needed.
"""

from media.bits import BitReader


class References:
    """What a codec's headers tell of packets, given in decoding order; this one's are not understood."""

    def is_disposable(self, _packet: bytes, /) -> bool:
        """Whether no other picture is decoded from this one."""
        return False

    def restarts(self, _packet: bytes, /) -> bool:
        """Whether neither this picture nor any after it, in decoding order, is decoded from one before it."""
        return False

    def is_shown(self, _packet: bytes, /) -> bool:
        """Whether the packet gives a picture to show."""
        return True


class IntraOnly(References):
    """Motion JPEG and ProRes: every picture stands alone."""

    def is_disposable(self, _packet: bytes, /) -> bool:
        """Always."""
        return True

    def restarts(self, _packet: bytes, /) -> bool:
        """Always."""
        return True


class Mpeg2(References):
    """MPEG-1 and MPEG-2: nobody refers to a B picture."""

    PICTURE, B = b"\x00\x00\x01\x00", 3

    def is_disposable(self, packet: bytes, /) -> bool:
        """By picture_coding_type, ISO/IEC 13818-2, 6.2.3."""
        at = packet.find(self.PICTURE)
        return 0 <= at < len(packet) - 5 and packet[at + 5] >> 3 & 7 == self.B


class Mpeg4(References):
    """MPEG-4 Part 2: nobody refers to a B-VOP."""

    VOP, B = b"\x00\x00\x01\xb6", 2
    SMALLEST_BYTES = 16
    """A smaller packet may be one that is "not coded", and gives no picture."""

    def is_disposable(self, packet: bytes, /) -> bool:
        """By vop_coding_type, ISO/IEC 14496-2, 6.2.5."""
        at = packet.find(self.VOP)
        return 0 <= at < len(packet) - 4 and packet[at + 4] >> 6 == self.B

    def is_shown(self, packet: bytes, /) -> bool:
        """By its size."""
        return len(packet) >= self.SMALLEST_BYTES


class Vp8(References):
    """VP8: a keyframe sets everything anew; hidden pictures have packets of their own. RFC 6386, 9.1."""

    def restarts(self, packet: bytes, /) -> bool:
        """At a keyframe."""
        return packet[:1] != b"" and packet[0] & 1 == 0

    def is_shown(self, packet: bytes, /) -> bool:
        """By show_frame."""
        return packet[:1] != b"" and bool(packet[0] & 16)


class Vp9(References):
    """VP9: a keyframe sets everything anew; hidden pictures ride in the packet of a shown one. Bitstream 0.6, 6.2."""

    HEADER_BYTES, FRAME_MARKER, SUPERFRAME_MARKER = 2, 2, 6
    RESERVED_BIT_PROFILE = 3

    def restarts(self, packet: bytes, /) -> bool:
        """At a keyframe, the first picture of its packet."""
        header = self._header(packet)
        return header is not None and header[:2] == (0, 0)

    def is_shown(self, packet: bytes, /) -> bool:
        """By show_existing_frame and show_frame; of the last picture in a packet of several it is taken for granted."""
        header = self._header(packet)
        return header is not None and (packet[-1] >> 5 == self.SUPERFRAME_MARKER or header[0] == 1 or header[2] == 1)

    def _header(self, packet: bytes) -> tuple[int, int, int] | None:
        """show_existing_frame, frame_type (0 is a keyframe) and show_frame of the first picture."""
        bits = BitReader(packet[: self.HEADER_BYTES])
        if len(packet) < self.HEADER_BYTES or bits.read(2) != self.FRAME_MARKER:
            return None
        if bits.read(2) == self.RESERVED_BIT_PROFILE:
            bits.read(1)
        return bits.read(1), bits.read(1), bits.read(1)
