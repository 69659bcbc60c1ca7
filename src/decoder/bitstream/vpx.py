"""VP8 and VP9. Only keyframes and hidden frames are told apart: all frames between two keyframes are needed."""

from decoder.bitstream.base import BitstreamParser, ReferenceInfo
from decoder.bitstream.bits import BitReader


class Vp8(BitstreamParser):
    """VP8: a keyframe resets the decoder; a hidden frame has a packet of its own."""

    def parse(self, packet: bytes, /) -> ReferenceInfo:
        """Read the frame tag, RFC 6386, 9.1."""
        if not packet:
            return ReferenceInfo(is_output=False)
        return ReferenceInfo(is_output=bool(packet[0] & 16), is_closed_rap=packet[0] & 1 == 0, is_certain=True)


class Vp9(BitstreamParser):
    """VP9: a keyframe resets the decoder; a hidden frame shares a packet, a superframe, with the next shown frame."""

    HEADER_BYTES, FRAME_MARKER, SUPERFRAME_MARKER = 2, 2, 6
    RESERVED_BIT_PROFILE = 3

    def parse(self, packet: bytes, /) -> ReferenceInfo:
        """Read the first frame's header, bitstream specification 0.6, 6.2; a superframe shows its last frame."""
        bits = BitReader(packet[: self.HEADER_BYTES])
        if len(packet) < self.HEADER_BYTES or bits.read(2) != self.FRAME_MARKER:
            return ReferenceInfo()
        if bits.read(2) == self.RESERVED_BIT_PROFILE:
            bits.read(1)
        shows_existing, is_predicted, is_shown = bits.read(1), bits.read(1), bits.read(1)
        is_superframe = packet[-1] >> 5 == self.SUPERFRAME_MARKER
        return ReferenceInfo(
            is_output=bool(is_superframe or shows_existing or is_shown),
            is_closed_rap=not (shows_existing or is_predicted),
            is_certain=True,
        )
