"""What a packet's headers are taken to say: nothing that would change a picture is taken on trust."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from clips import AV1, H264, HEVC, ClipStore, numbered_pictures
from decoder.bitstream import h26x as nal
from decoder.bitstream.av1 import FRAME, PADDING, Av1, open_bitstream_units
from decoder.bitstream.base import Mpeg4, Traits, Vp8, Vp9
from decoder.bitstream.h26x import Hevc, NalReferences
from decoder.container.open import open_video, picture_stream
from decoder.container.packets import Packets

START = b"\x00\x00\x01"
UNKNOWN = Traits()


def packets_of(path: Path) -> list[bytes]:
    """A stream's packets, units behind start codes."""
    with open_video(str(path)) as container:
        stream = picture_stream(container)
        assert stream
        return [bytes(packet) for packet in Packets(container, stream)]


def without(packet: bytes, kinds: Sequence[int], references: type[NalReferences]) -> bytes:
    """A packet without the units of some types."""
    units = [unit for unit in packet.split(START) if unit.strip(b"\x00")]
    return b"".join(START + unit for unit in units if references.kind(unit) not in kinds)


@pytest.mark.parametrize(("name", "options", "references"), [("two.ts", H264, nal.H264), ("two-hevc.ts", HEVC, Hevc)])
def test_a_group_without_parameter_sets_of_its_own_is_not_decoded_alone(
    name: str, options: str, references: type[NalReferences], clips: ClipStore
):
    closed = options.replace("open-gop=1", "open-gop=0")
    packets = packets_of(clips.encode(name, f"{closed} -sc_threshold 0", numbered_pictures(40)))
    sets = (references.SEQUENCE_SET, references.PICTURE_SET)
    with_sets, without_sets = references(b""), references(b"")

    complete = [index for index, packet in enumerate(packets) if with_sets.traits(packet).restarts]
    bare = [packets[0], *(without(packet, sets, references) for packet in packets[1:])]
    alone = [index for index, packet in enumerate(bare) if without_sets.traits(packet).restarts]

    assert len(complete) > 1
    assert alone == [0]


def test_behind_a_parameter_set_that_changes_everything_is_needed(clips: ClipStore):
    packets = packets_of(clips.encode("some.ts", H264, numbered_pictures(40)))
    others = packets_of(clips.encode("others.ts", f"{H264} -qp 20 -x264-params cabac=0", numbered_pictures(40)))
    references = nal.H264(b"")

    before = [references.traits(packet) for packet in packets]
    after = [references.traits(packet) for packet in [*others, *packets]]

    assert any(traits.writes == 0 for traits in before)
    assert set(after) == {UNKNOWN}


@pytest.mark.parametrize(("options", "references"), [(H264, nal.H264), ("-c:v mpeg4 -q 3 -g 15 -bf 2", Mpeg4)])
def test_pictures_of_fields_are_all_needed(options: str, references: type[nal.H264 | Mpeg4], clips: ClipStore):
    def told(name: str, flags: str) -> set[Traits]:
        rule = references(b"")
        path = clips.encode(f"{name}-{references.__name__}.ts", options + flags, numbered_pictures(40))
        return {rule.traits(packet) for packet in packets_of(path)}

    assert told("fields", " -flags +ildct+ilme") == {UNKNOWN}
    assert told("frames", "") > {Traits(writes=0)}


def test_what_cannot_be_read_is_needed():
    torn = START + b"\x67\x64" + START + b"\x68\xee" + START + b"\x01\x9a"

    assert nal.H264(b"").traits(torn) == UNKNOWN
    assert nal.H264(b"\x01\x64").traits(START + b"\x01\x9a") == UNKNOWN
    assert Hevc(b"\x01" * 30).traits(b"\x00\x00\x00\x02\x02\x01") == UNKNOWN


def test_av1_behind_what_is_not_understood_is_needed(clips: ClipStore):
    packets = packets_of(clips.encode("some-av1.mp4", AV1, numbered_pictures(20)))
    whole, torn = Av1(), Av1()

    before = [whole.traits(packet) for packet in packets]
    after = [torn.traits(packet) for packet in [packets[0], packets[1][:5], *packets[2:]]]

    assert before[0].restarts
    assert any(traits.writes == 0 for traits in before)
    assert all(traits == UNKNOWN for traits in after[1:])


def test_a_frame_is_left_out_of_an_av1_packet_and_the_others_stay_where_they_are(clips: ClipStore):
    packets = packets_of(clips.encode("layered-av1.mp4", "-c:v libsvtav1 -preset 8 -g 60", numbered_pictures(40)))
    rule = Av1()
    packet, frames = next(
        (packet, traits.frames) for packet in packets if len((traits := rule.traits(packet)).frames) > 2
    )

    left = rule.without(packet, {1})

    before, after = (list(open_bitstream_units(content)) for content in (packet, left))
    changed = [(old.kind, new.kind) for old, new in zip(before, after, strict=True) if old != new]
    assert len(left) == len(packet)
    assert changed == [(FRAME, PADDING)]
    assert [unit.kind for unit in after].count(FRAME) == [unit.kind for unit in before].count(FRAME) - 1
    assert [frame.is_shown for frame in frames] == [False] * (len(frames) - 1) + [True]
    assert rule.without(packet, set()) == packet


@pytest.mark.parametrize(
    ("packet", "traits"),
    [
        (b"\x10\x02\x00", Traits(restarts=True)),
        (b"\x11\x02\x00", Traits()),
        (b"\x01\x02\x00", Traits(is_shown=False)),
        (b"", Traits(is_shown=False)),
    ],
)
def test_vp8_tells_keyframes_and_hidden_pictures(packet: bytes, traits: Traits):
    assert Vp8().traits(packet) == traits


@pytest.mark.parametrize(
    ("packet", "traits"),
    [
        (b"\x82\x49\x83\x42", Traits(restarts=True)),
        (b"\x86\x00\x40\x92", Traits()),
        (b"\x84\x00\x40\x92", Traits(is_shown=False)),
        (b"\x84\x00\x40\xc1", Traits()),
        (b"\x88\x00", Traits()),
        (b"\x00\x00", Traits()),
    ],
)
def test_vp9_tells_keyframes_and_hidden_pictures(packet: bytes, traits: Traits):
    assert Vp9().traits(packet) == traits
