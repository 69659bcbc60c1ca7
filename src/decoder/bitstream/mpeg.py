"""MPEG-1 and MPEG-2 video, and MPEG-4 part 2."""

from decoder.bitstream.base import ALL_SLOTS, BitstreamParser, ReferenceInfo
from decoder.bitstream.bits import BitReader


class Mpeg2(BitstreamParser):
    """MPEG-1 and MPEG-2: no picture references a B picture.

    But all pictures up to the next sequence header are decoded with the matrices that a quant_matrix_extension in one
    of them brings, ISO/IEC 13818-2, 6.3.11.
    """

    SEQUENCE_START, PICTURE_START = b"\x00\x00\x01\xb3", b"\x00\x00\x01\x00"
    EXTENSION_START, QUANT_MATRIX = b"\x00\x00\x01\xb5", 3
    I_PICTURE, B_PICTURE = 1, 3

    def parse(self, packet: bytes, /) -> ReferenceInfo:
        """Read picture_coding_type, ISO/IEC 13818-2, 6.2.3; an I picture after a sequence header is an open RAP."""
        at = packet.find(self.PICTURE_START)
        coding_type = packet[at + 5] >> 3 & 7 if 0 <= at < len(packet) - 5 else None
        is_open_rap = coding_type == self.I_PICTURE and 0 <= packet.find(self.SEQUENCE_START) < at
        is_disposable = coding_type == self.B_PICTURE and not self._has_matrices(packet)
        return ReferenceInfo(refresh_slots=0 if is_disposable else ALL_SLOTS, is_open_rap=is_open_rap)

    def _has_matrices(self, packet: bytes) -> bool:
        """Whether one of the extensions, or a sequence header, brings quantiser matrices."""
        at = packet.find(self.EXTENSION_START)
        while 0 <= at < len(packet) - 4:
            if packet[at + 4] >> 4 == self.QUANT_MATRIX:
                return True
            at = packet.find(self.EXTENSION_START, at + 4)
        return self.SEQUENCE_START in packet


class Mpeg4Part2(BitstreamParser):
    """MPEG-4 part 2: no picture references a B-VOP.

    Interlaced streams are not trusted in this: libavcodec takes the time between two fields from the first B-VOP.
    """

    LAYER_START, VOP_START = b"\x00\x00\x01\x20", b"\x00\x00\x01\xb6"
    """The start codes of the first video object layer, and of a video object plane, which is a picture."""
    B_VOP = 2
    EXTENDED_PAR = 15
    """The aspect_ratio_info that is followed by a width and a height."""
    SMALLEST_PICTURE_BYTES = 16
    """A smaller packet may hold a VOP that is "not coded" and gives no picture."""
    LAYER_BYTES = 64
    """More than a layer's header has up to `interlaced`."""

    def __init__(self, extradata: bytes = b"") -> None:
        self._is_progressive = False
        self._read_layer(extradata)

    def parse(self, packet: bytes, /) -> ReferenceInfo:
        """Read vop_coding_type, ISO/IEC 14496-2, 6.2.5."""
        self._read_layer(packet)
        if len(packet) < self.SMALLEST_PICTURE_BYTES:
            return ReferenceInfo(is_output=None)
        at = packet.find(self.VOP_START)
        is_b_vop = 0 <= at < len(packet) - 4 and packet[at + 4] >> 6 == self.B_VOP
        return ReferenceInfo(refresh_slots=0 if is_b_vop and self._is_progressive else ALL_SLOTS)

    def _read_layer(self, content: bytes) -> None:
        """Read the header of a video object layer, if there is one; one that cannot be read may be interlaced."""
        if (at := content.find(self.LAYER_START)) >= 0:
            header = content[at + len(self.LAYER_START) :][: self.LAYER_BYTES]
            try:
                self._is_progressive = not self._may_be_interlaced(BitReader(header))
            except EOFError:
                self._is_progressive = False

    def _may_be_interlaced(self, bits: BitReader) -> bool:
        """Read VideoObjectLayer, ISO/IEC 14496-2, 6.2.3, as far as `interlaced`.

        The header of a shape other than a rectangle goes on in another way: such a layer may be interlaced.
        """
        bits.read(1 + 8)  # random_accessible_vol, video_object_type_indication
        if bits.read(1):  # is_object_layer_identifier
            bits.read(4 + 3)
        if bits.read(4) == self.EXTENDED_PAR:
            bits.read(8 + 8)
        if bits.read(1):  # vol_control_parameters
            bits.read(2 + 1)
            if bits.read(1):  # vbv_parameters
                bits.read(79)
        if bits.read(2):  # video_object_layer_shape: 0 is a rectangle
            return True
        bits.read(1)
        ticks_per_second = bits.read(16)
        bits.read(1)
        if bits.read(1):  # fixed_vop_rate
            bits.read(max(1, (ticks_per_second - 1).bit_length()))
        bits.read(1 + 13 + 1 + 13 + 1)  # width and height between marker bits
        return bool(bits.read(1))
