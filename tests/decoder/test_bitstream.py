"""What a packet's headers are taken to say: nothing that would change a picture is taken on trust."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from clips import AV1, H264, HEVC, ClipStore, numbered_pictures
from decoder.bitstream import h264
from decoder.bitstream.av1 import FRAME, PADDING, Av1, split_obus
from decoder.bitstream.base import ReferenceInfo
from decoder.bitstream.hevc import Hevc
from decoder.bitstream.mpeg import Mpeg4Part2
from decoder.bitstream.nal import NalParser
from decoder.bitstream.vpx import Vp8, Vp9
from decoder.container.open import open_video, video_stream
from decoder.container.packets import Packets

START = b"\x00\x00\x01"
UNKNOWN = ReferenceInfo()


def packets_of(path: Path) -> list[bytes]:
    """A stream's packets, units behind start codes."""
    with open_video(str(path)) as container:
        stream = video_stream(container)
        assert stream
        return [bytes(packet) for packet in Packets(container, stream)]


def without(packet: bytes, kinds: Sequence[int], parser: type[NalParser]) -> bytes:
    """A packet without the units of some types."""
    units = [unit for unit in packet.split(START) if unit.strip(b"\x00")]
    return b"".join(START + unit for unit in units if parser.unit_type(unit) not in kinds)


@pytest.mark.parametrize(("name", "options", "parser"), [("two.ts", H264, h264.H264), ("two-hevc.ts", HEVC, Hevc)])
def test_a_group_without_parameter_sets_of_its_own_is_not_decoded_alone(
    name: str, options: str, parser: type[NalParser], clips: ClipStore
):
    closed = options.replace("open-gop=1", "open-gop=0")
    packets = packets_of(clips.encode(name, f"{closed} -sc_threshold 0", numbered_pictures(40)))
    sets = (parser.SPS, parser.PPS)
    with_sets, without_sets = parser(b""), parser(b"")

    complete = [index for index, packet in enumerate(packets) if with_sets.parse(packet).is_closed_rap]
    bare = [packets[0], *(without(packet, sets, parser) for packet in packets[1:])]
    alone = [index for index, packet in enumerate(bare) if without_sets.parse(packet).is_closed_rap]

    assert len(complete) > 1
    assert alone == [0]


def test_behind_a_parameter_set_that_changes_everything_is_needed(clips: ClipStore):
    packets = packets_of(clips.encode("some.ts", H264, numbered_pictures(40)))
    others = packets_of(clips.encode("others.ts", f"{H264} -qp 20 -x264-params cabac=0", numbered_pictures(40)))
    parser = h264.H264(b"")

    before = [parser.parse(packet) for packet in packets]
    after = [parser.parse(packet) for packet in [*others, *packets]]

    assert any(info.refresh_slots == 0 for info in before)
    assert set(after) == {UNKNOWN}


@pytest.mark.parametrize(("options", "parser"), [(H264, h264.H264), ("-c:v mpeg4 -q 3 -g 15 -bf 2", Mpeg4Part2)])
def test_pictures_of_fields_are_all_needed(options: str, parser: type[h264.H264 | Mpeg4Part2], clips: ClipStore):
    def told(name: str, flags: str) -> set[ReferenceInfo]:
        rule = parser(b"")
        path = clips.encode(f"{name}-{parser.__name__}.ts", options + flags, numbered_pictures(40))
        return {rule.parse(packet) for packet in packets_of(path)}

    assert told("fields", " -flags +ildct+ilme") == {UNKNOWN}
    assert told("frames", "") > {ReferenceInfo(refresh_slots=0)}


def test_what_cannot_be_read_is_needed():
    torn = START + b"\x67\x64" + START + b"\x68\xee" + START + b"\x01\x9a"

    assert h264.H264(b"").parse(torn) == UNKNOWN
    assert h264.H264(b"\x01\x64").parse(START + b"\x01\x9a") == UNKNOWN
    assert Hevc(b"\x01" * 30).parse(b"\x00\x00\x00\x02\x02\x01") == UNKNOWN


def test_av1_behind_what_is_not_understood_is_needed(clips: ClipStore):
    packets = packets_of(clips.encode("some-av1.mp4", AV1, numbered_pictures(20)))
    whole, torn = Av1(), Av1()

    before = [whole.parse(packet) for packet in packets]
    after = [torn.parse(packet) for packet in [packets[0], packets[1][:5], *packets[2:]]]

    assert before[0].is_closed_rap
    assert any(info.refresh_slots == 0 for info in before)
    assert all(info == UNKNOWN for info in after[1:])


def test_a_frame_is_left_out_of_an_av1_packet_and_the_others_stay_where_they_are(clips: ClipStore):
    packets = packets_of(clips.encode("layered-av1.mp4", "-c:v libsvtav1 -preset 8 -g 60", numbered_pictures(40)))
    rule = Av1()
    packet, frames = next((packet, info.frames) for packet in packets if len((info := rule.parse(packet)).frames) > 2)

    left = rule.drop_frames(packet, {1})

    before, after = (list(split_obus(content)) for content in (packet, left))
    changed = [(old.type, new.type) for old, new in zip(before, after, strict=True) if old != new]
    assert len(left) == len(packet)
    assert changed == [(FRAME, PADDING)]
    assert [unit.type for unit in after].count(FRAME) == [unit.type for unit in before].count(FRAME) - 1
    assert [frame.is_output for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert rule.drop_frames(packet, set()) == packet


@pytest.mark.parametrize(
    ("packet", "info"),
    [
        (b"\x10\x02\x00", ReferenceInfo(is_closed_rap=True)),
        (b"\x11\x02\x00", ReferenceInfo()),
        (b"\x01\x02\x00", ReferenceInfo(is_output=False)),
        (b"", ReferenceInfo(is_output=False)),
    ],
)
def test_vp8_tells_keyframes_and_hidden_pictures(packet: bytes, info: ReferenceInfo):
    assert Vp8().parse(packet) == info


@pytest.mark.parametrize(
    ("packet", "info"),
    [
        (b"\x82\x49\x83\x42", ReferenceInfo(is_closed_rap=True)),
        (b"\x86\x00\x40\x92", ReferenceInfo()),
        (b"\x84\x00\x40\x92", ReferenceInfo(is_output=False)),
        (b"\x84\x00\x40\xc1", ReferenceInfo()),
        (b"\x88\x00", ReferenceInfo()),
        (b"\x00\x00", ReferenceInfo()),
    ],
)
def test_vp9_tells_keyframes_and_hidden_pictures(packet: bytes, info: ReferenceInfo):
    assert Vp9().parse(packet) == info
