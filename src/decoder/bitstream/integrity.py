"""Tells damaged packets by their structure: lengths that do not add up, values that no encoder writes, long zeros.

Every codec has byte strings that cannot occur in it. A part of a file that was never written, or was overwritten,
almost always holds one in each packet that begins there. What is damaged in the middle of a packet only its decoder
can find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from decoder.bitstream.av1 import FRAME, HAS_EXTENSION, HAS_SIZE, TILE_GROUP, TYPE_MASK, TYPE_SHIFT, leb128
from decoder.bitstream.h264 import H264
from decoder.bitstream.hevc import Hevc
from decoder.bitstream.mpeg import Mpeg2, Mpeg4Part2
from decoder.bitstream.nal import START_CODE, NalParser
from decoder.bitstream.vpx import Vp8, Vp9

ZEROS = bytes(64)
"""Entropy-coded pictures hold no such run, and between units no muxer writes so many."""
ZEROS_IN_UNIT = bytes(16)
"""Emulation prevention (ITU-T H.264, 7.4.1) and the rules for MPEG start codes forbid far shorter runs."""
UNIT_START_BYTES = 2
"""As much as the headers of units have, at most."""
FORBIDDEN_BIT = 128
FORBIDDEN_HEVC_TYPES = {*range(22, 32), *range(41, 48)}
"""Reserved values of nal_unit_type, ITU-T H.265, 7.4.2.2."""
FORBIDDEN_OBU_TYPES = {0, *range(9, 15)}
"""Reserved values of obu_type, AV1 specification, 6.2.2."""
OBU_RESERVED_BITS = 0b1000_0001
"""obu_forbidden_bit and obu_reserved_1bit, 5.3.2."""
VP9_SYNC, VP8_SYNC = b"\x49\x83\x42", b"\x9d\x01\x2a"
JPEG_START = b"\xff\xd8"
SMALL_PACKET_BYTES = 16
"""Smaller packets say that nothing changes, each encoder in its own way."""

Check = Callable[[bytes], bool]


def integrity_check(codec: str, extradata: bytes) -> Check:
    """A function that tells whether a packet can be what an encoder wrote.

    Args:
        codec: by its name in protocol.CODECS.
        extradata: the stream's configuration.
    """
    if codec in NAL_CODECS:
        parser, is_header = NAL_CODECS[codec]
        return partial(_are_nal_units, parser(extradata).length_bytes, is_header)
    return _Vp9Check() if codec == "vp9" else CHECKS.get(codec, _has_no_zeros)


def _has_no_zeros(packet: bytes) -> bool:
    return ZEROS not in packet


def _are_nal_units(length_bytes: int, is_header: Check, packet: bytes) -> bool:
    """Whether units with possible headers fill the packet."""
    if not length_bytes:
        return START_CODE in packet[: len(ZEROS_IN_UNIT)] or len(packet) < SMALL_PACKET_BYTES
    at = 0
    has_zeros = ZEROS_IN_UNIT in packet
    while at + length_bytes <= len(packet):
        length = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        if at + length > len(packet) or (length and not is_header(packet[at : at + min(length, UNIT_START_BYTES)])):
            return False
        if has_zeros and ZEROS_IN_UNIT in packet[at : at + length].rstrip(b"\0"):
            return False
        at += length
    return not has_zeros or (ZEROS not in packet and any(packet))


def _is_h264_unit(unit: bytes) -> bool:
    return not unit[0] & FORBIDDEN_BIT


def _is_hevc_unit(unit: bytes) -> bool:
    """Whether forbidden bit, type and nuh_temporal_id_plus1 are possible, ITU-T H.265, 7.4.2.2."""
    has_level = len(unit) < Hevc.UNIT_HEADER_BYTES or unit[1] & 7
    return not unit[0] & FORBIDDEN_BIT and Hevc.unit_type(unit) not in FORBIDDEN_HEVC_TYPES and bool(has_level)


def _is_temporal_unit(packet: bytes) -> bool:
    """Whether possible open bitstream units fill the packet; the last one may leave out its size."""
    at = 0
    while at < len(packet):
        header = packet[at]
        if not _is_obu_header(header):
            return False
        at += 2 if header & HAS_EXTENSION else 1
        if not header & HAS_SIZE:
            return True
        try:
            size_bytes, at = leb128(packet, at)
        except EOFError:
            return False
        if (header & TYPE_MASK) >> TYPE_SHIFT in (FRAME, TILE_GROUP) and ZEROS in packet[at : at + size_bytes]:
            return False
        at += size_bytes
    return at == len(packet)


def _is_obu_header(header: int) -> bool:
    return not header & OBU_RESERVED_BITS and (header & TYPE_MASK) >> TYPE_SHIFT not in FORBIDDEN_OBU_TYPES


class _Vp9Check:
    """Whether a packet begins with a possible frame header of VP9: bitstream specification 0.6, 6.2.

    A keyframe has a sync code, all frames after it have its profile, and one that is shown again has no content.
    """

    def __init__(self) -> None:
        self._profile_bits: int | None = None

    def __call__(self, packet: bytes) -> bool:
        if not packet or packet[0] >> 6 != Vp9.FRAME_MARKER or ZEROS in packet:
            return False
        profile_bits = packet[0] >> 4 & 3
        has_reserved_bit = profile_bits == Vp9.RESERVED_BIT_PROFILE
        if Vp9().parse(packet).is_closed_rap:
            start = int.from_bytes(packet[1:5], "big") << has_reserved_bit & 0xFFFF_FFFF
            is_possible = start >> 8 == int.from_bytes(VP9_SYNC, "big")
            self._profile_bits = profile_bits if is_possible else self._profile_bits
            return is_possible
        shows_existing = packet[0] << has_reserved_bit & 8
        is_longer = len(packet) > SMALL_PACKET_BYTES and packet[-1] >> 5 != Vp9.SUPERFRAME_MARKER
        return self._profile_bits in {None, profile_bits} and not (shows_existing and is_longer)


def _is_vp8(packet: bytes) -> bool:
    """Whether the first partition fits into the packet, and a keyframe has its start code, RFC 6386, 9.1."""
    if len(packet) < SMALL_PACKET_BYTES:
        return True
    is_keyframe = Vp8().parse(packet).is_closed_rap
    first_partition_bytes = int.from_bytes(packet[:3], "little") >> 5
    return first_partition_bytes <= len(packet) and (not is_keyframe or packet[3:6] == VP8_SYNC) and ZEROS not in packet


def _is_mpeg4(packet: bytes) -> bool:
    return len(packet) < SMALL_PACKET_BYTES or (Mpeg4Part2.VOP_START in packet and ZEROS_IN_UNIT not in packet)


def _is_mpeg2(packet: bytes) -> bool:
    """Whether there is a picture, and no run of zeros but before a start code or at the end."""
    if len(packet) < SMALL_PACKET_BYTES:
        return True
    at = packet.find(ZEROS_IN_UNIT)
    while at >= 0:
        rest = packet[at:].lstrip(b"\0")
        if rest and rest[0] != START_CODE[-1]:
            return False
        at = packet.find(ZEROS_IN_UNIT, len(packet) - len(rest)) if rest else -1
    return Mpeg2.PICTURE_START in packet


def _is_jpeg(packet: bytes) -> bool:
    return packet.startswith(JPEG_START)


def _is_prores(packet: bytes) -> bool:
    return packet[4:8] == b"icpf"


NAL_CODECS: Mapping[str, tuple[type[NalParser], Check]] = {"h264": (H264, _is_h264_unit), "hevc": (Hevc, _is_hevc_unit)}
CHECKS: Mapping[str, Check] = {
    "av1": _is_temporal_unit,
    "vp8": _is_vp8,
    "mpeg4": _is_mpeg4,
    "mpeg1video": _is_mpeg2,
    "mpeg2video": _is_mpeg2,
    "mjpeg": _is_jpeg,
    "prores": _is_prores,
}
"""By the names of protocol.CODECS; of other codecs only long zeros are told."""
