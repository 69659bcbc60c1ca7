"""Writes Matroska files with one video track that ffmpeg does not write: other codec ids, cropping, late starts."""

from collections.abc import Sequence
from fractions import Fraction

# RFC 9559; the ids carry their own length.
EBML, SEGMENT, INFO, TRACKS, TRACK_ENTRY, VIDEO, CLUSTER = (
    0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675
)  # fmt: skip
DOC_TYPE, DOC_TYPE_VERSION, DOC_TYPE_READ_VERSION = 0x4282, 0x4287, 0x4285
TIMESTAMP_SCALE, TIMESTAMP, SIMPLE_BLOCK = 0x2AD7B1, 0xE7, 0xA3
TRACK_NUMBER, TRACK_UID, TRACK_TYPE, CODEC_ID, CODEC_PRIVATE = 0xD7, 0x73C5, 0x83, 0x86, 0x63A2
PIXEL_WIDTH, PIXEL_HEIGHT = 0xB0, 0xBA
CROP_BOTTOM, CROP_TOP, CROP_LEFT, CROP_RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD
KEYFRAME = 0x80
NS_PER_MS = 1_000_000


def matroska(
    codec_id: str,
    configuration: bytes,
    size_px: tuple[int, int],
    blocks: Sequence[tuple[Fraction | float, bool, bytes]],
    crop_px: int = 0,
) -> bytes:
    """Return a file of one track.

    Args:
        codec_id: Matroska's name of the codec.
        configuration: CodecPrivate.
        size_px: width and height as coded.
        blocks: time in seconds, whether it is a keyframe, and content, in decoding order; at most half a minute.
        crop_px: hidden on every side.
    """
    header = _number(DOC_TYPE_VERSION, 4) + _number(DOC_TYPE_READ_VERSION, 2) + _element(DOC_TYPE, b"matroska")
    crops = [_number(element, crop_px) for element in (CROP_BOTTOM, CROP_TOP, CROP_LEFT, CROP_RIGHT) if crop_px]
    video = _number(PIXEL_WIDTH, size_px[0]) + _number(PIXEL_HEIGHT, size_px[1]) + b"".join(crops)
    track = [_number(TRACK_NUMBER, 1), _number(TRACK_UID, 1), _number(TRACK_TYPE, 1)]
    track += [_element(CODEC_ID, codec_id.encode()), _element(CODEC_PRIVATE, configuration), _element(VIDEO, video)]
    cluster = _number(TIMESTAMP, 0)
    for at_s, is_keyframe, content in blocks:
        at_ms = round(1000 * at_s).to_bytes(2, signed=True)
        cluster += _element(SIMPLE_BLOCK, b"\x81" + at_ms + bytes([KEYFRAME * is_keyframe]) + content)
    return _element(EBML, header) + _element(
        SEGMENT,
        _element(INFO, _number(TIMESTAMP_SCALE, NS_PER_MS))
        + _element(TRACKS, _element(TRACK_ENTRY, b"".join(track)))
        + _element(CLUSTER, cluster),
    )


def _element(element: int, content: bytes) -> bytes:
    name = element.to_bytes((element.bit_length() + 7) // 8)
    return name + (len(content) | 1 << 56).to_bytes(8) + content


def _number(element: int, value: int) -> bytes:
    return _element(element, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))
