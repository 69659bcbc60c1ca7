"""Codes pictures as pairs of H.264 fields (PAFF), which no encoder of ffmpeg does: uncompressed macroblocks alone."""

import numpy as np
import numpy.typing as npt

from bit_writer import BitWriter

Pixels = npt.NDArray[np.uint8]

START = b"\0\0\0\1"
SEQUENCE_SET, PICTURE_SET, KEY_SLICE, KEY_SECOND_SLICE, OTHER_SLICE = 0x67, 0x68, 0x65, 0x61, 0x01
"""First bytes of the units: importance and type (ITU-T H.264, 7.3.1)."""
MACROBLOCK_PX = 16
DELIMITER = START + b"\x09\x10"
"""An access unit of I slices begins."""
I_SLICES, I_PCM, NO_DEBLOCKING = 7, 25, 1
FRAME_NUMBER_BITS, ORDER_BITS = 4, 8
TO_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255


def parameter_sets(width_px: int, height_px: int, rate_fps: int) -> bytes:
    """Sequence and picture parameter set of interlaced pictures; the height is a multiple of 32."""
    sequence = BitWriter().write(77, 8).write(0, 8).write(30, 8).unsigned(0)  # Main profile, level 3
    sequence.unsigned(FRAME_NUMBER_BITS - 4).unsigned(0).unsigned(ORDER_BITS - 4).unsigned(1).write(0)
    sequence.unsigned(width_px // MACROBLOCK_PX - 1).unsigned(height_px // MACROBLOCK_PX // 2 - 1)
    sequence.write(0).write(0).write(1).write(0)  # fields or frames, not mixed in a picture, nothing is cropped
    sequence.write(1).write(0, 4).write(1).write(1, 32).write(2 * rate_fps, 32).write(1).write(0, 4)  # VUI: the rate
    picture = BitWriter().unsigned(0).unsigned(0).write(0, 2).unsigned(0).unsigned(0).unsigned(0).write(0, 3)
    picture.signed(0).signed(0).signed(0).write(1).write(0, 2)
    return _unit(SEQUENCE_SET, sequence) + _unit(PICTURE_SET, picture)


def field_pair(picture: Pixels, number: int, period: int, sets: bytes, *, is_delimited: bool) -> tuple[bytes, bytes]:
    """Code an RGB picture as its upper and its lower field.

    Args:
        picture: uint8 (H, W, 3).
        number: its place in the film.
        period: from one keyframe to the next.
        sets: parameter sets, repeated before keyframes.
        is_delimited: a delimiter stands before each field, as in broadcasts.
    """
    place = number % period
    ycbcr = picture @ TO_YCBCR.T + (16, 128, 128)
    fields = [_field(ycbcr[parity::2], place, number // period, parity) for parity in (0, 1)]
    delimiter = DELIMITER * is_delimited
    return delimiter + sets * (place == 0) + fields[0], delimiter + fields[1]


def _field(ycbcr: npt.NDArray[np.float64], place: int, group: int, parity: int) -> bytes:
    is_key_picture = place == 0
    is_key_slice = is_key_picture and parity == 0
    bits = BitWriter().unsigned(0).unsigned(I_SLICES).unsigned(0).write(min(place, 1), FRAME_NUMBER_BITS)
    bits.write(1).write(parity)
    if is_key_slice:
        bits.unsigned(group % 2)
    bits.write((2 * place + parity) % 2**ORDER_BITS, ORDER_BITS)
    if is_key_picture:
        bits.write(0, 2 if is_key_slice else 1)  # nothing special is done with the references
    bits.signed(0).unsigned(NO_DEBLOCKING)
    levels = np.rint(ycbcr).astype(np.uint8)
    size_px = MACROBLOCK_PX
    for top in range(0, levels.shape[0], size_px):
        for left in range(0, levels.shape[1], size_px):
            block = levels[top : top + size_px, left : left + size_px]
            samples = b"".join([block[..., 0].tobytes(), *(block[::2, ::2, plane].tobytes() for plane in (1, 2))])
            bits.unsigned(I_PCM).align()
            bits.write(int.from_bytes(samples), 8 * len(samples))
    kinds = (KEY_SLICE, KEY_SECOND_SLICE) if is_key_picture else (OTHER_SLICE, OTHER_SLICE)
    return _unit(kinds[parity], bits)


def _unit(kind: int, bits: BitWriter) -> bytes:
    """A unit in the byte stream format: stop bit, and a byte 3 where two zeros precede a byte below 4 (7.4.1)."""
    content, zeros = bytearray(), 0
    for byte in bits.write(1).to_bytes():
        if zeros >= 2 and byte <= 3:
            content.append(3)
            zeros = 0
        content.append(byte)
        zeros = 0 if byte else zeros + 1
    return START + bytes([kind]) + bytes(content)
