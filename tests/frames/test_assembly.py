"""What a decoder that lies writes ends in an error of the video, not in one of the worker."""

import io
import struct
from fractions import Fraction

import pytest

from errors import MediaError
from frames.assembly import BatchAssembler
from records import Chunk, SampleGrid

SAMPLING = SampleGrid(0.0, Fraction(1), 32, 64)


@pytest.mark.parametrize("header", [(0, -1, 0.0, False), (0, 1, float("nan"), False)])
def test_an_impossible_header_of_a_picture_is_an_error_of_the_video(header: tuple[int, int, float, bool]):
    output = io.BytesIO(struct.pack("<qqd?", *header) + bytes(32 * 64 * 3))
    assembler = BatchAssembler(lambda buffer: output.readinto(buffer) == len(buffer), SAMPLING, "uniform")

    with pytest.raises(MediaError, match="not what it should be"):
        assembler.batch(Chunk(0, 0, 3, 3), None)
