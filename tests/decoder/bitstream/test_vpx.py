"""Which frames of VP8 and VP9 streams are keyframes and which are hidden."""

import pytest

from decoder.bitstream.base import ReferenceInfo
from decoder.bitstream.vpx import Vp8, Vp9


@pytest.mark.parametrize(
    ("packet", "info"),
    [
        (b"\x10\x02\x00", ReferenceInfo(is_closed_rap=True)),
        (b"\x11\x02\x00", ReferenceInfo()),
        (b"\x01\x02\x00", ReferenceInfo(is_output=False)),
        (b"", ReferenceInfo(is_output=False)),
    ],
)
def test_the_frame_tag_of_vp8_tells_keyframes_and_hidden_frames(packet: bytes, info: ReferenceInfo):
    assert Vp8().parse(packet) == info


@pytest.mark.parametrize(
    ("packet", "info"),
    [
        (b"\x82\x49\x83\x42", ReferenceInfo(is_closed_rap=True)),
        (b"\xb1\x49\x83\x42", ReferenceInfo(is_closed_rap=True)),
        (b"\x86\x00\x40\x92", ReferenceInfo()),
        (b"\x84\x00\x40\x92", ReferenceInfo(is_output=False)),
        (b"\x85\x00\x40\x92", ReferenceInfo(is_output=False)),
        (b"\x84\x00\x40\xc1", ReferenceInfo()),
        (b"\x82\x49", ReferenceInfo(is_closed_rap=True)),
        (b"\x88\x00", ReferenceInfo()),
        (b"\x00\x00", ReferenceInfo()),
    ],
    ids=[
        "keyframe",
        "keyframe of profile 3",
        "shown",
        "hidden",
        "hidden and error resilient",
        "superframe",
        "two bytes",
        "shown from a slot",
        "no frame marker",
    ],
)
def test_the_header_of_vp9_tells_keyframes_and_hidden_frames(packet: bytes, info: ReferenceInfo):
    assert Vp9().parse(packet) == info
