"""No parser raises anything on packets of real streams whose bytes were changed, cut or put together anew."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clips import AV1, H264, HEVC, MPEG2, VP8, VP9, ClipStore, numbered_pictures
from decoder.bitstream.h264 import ReferenceCount
from decoder.bitstream.integrity import integrity_check
from decoder.bitstream.registry import PARSERS, parser_for
from decoder.container.open import open_video
from encoded_packets import packets_of

FIELDS = "-x264-params fake-interlaced=1:pic-struct=1:nal-hrd=vbr:vbv-maxrate=900:vbv-bufsize=900"
STREAMS = {
    "h264 in mp4": ("h264", "mp4", H264),
    "h264 in ts": ("h264", "ts", f"{H264} -x264-params pic-struct=1"),
    "fields in ts": ("h264", "ts", f"{H264} {FIELDS}"),
    "hevc in mp4": ("hevc", "mp4", HEVC),
    "hevc in ts": ("hevc", "ts", HEVC),
    "av1": ("av1", "mp4", AV1),
    "vp8": ("vp8", "webm", VP8),
    "vp9": ("vp9", "webm", VP9),
    "mpeg1video": ("mpeg1video", "ts", "-c:v mpeg1video -q 3 -g 15 -bf 2"),
    "mpeg2video": ("mpeg2video", "ts", MPEG2),
    "mpeg4": ("mpeg4", "mp4", "-c:v mpeg4 -q 3 -g 15 -bf 2"),
    "prores": ("prores", "mov", "-c:v prores_ks -profile:v 0"),
    "mjpeg": ("mjpeg", "mov", "-c:v mjpeg -q 3 -pix_fmt yuvj420p"),
}  # fmt: skip
"""Codec, container and ffmpeg's options."""
Mutation = Callable[[bytes], bytes]
PLACE, BYTE = st.integers(0, 400), st.integers(0, 255)
MUTATIONS: st.SearchStrategy[Mutation] = st.one_of(
    st.builds(lambda at, value: lambda packet: packet[:at] + bytes([value]) + packet[at + 1 :], PLACE, BYTE),
    st.builds(lambda at: lambda packet: packet[:at], PLACE),
    st.builds(lambda at, length: lambda packet: packet[:at] + packet[at + length :], PLACE, st.integers(1, 40)),
    st.builds(
        lambda at, more: lambda packet: packet[:at] + more + packet[at:],
        PLACE,
        st.one_of(st.binary(max_size=8), st.sampled_from([b"\x00\x00\x01", b"\x00\x00\x01\x00\x00\x01", b"\xff" * 9])),
    ),
    st.builds(lambda at: lambda packet: packet[at:] + packet[:at], PLACE),
)


def configuration_of(path: Path) -> bytes:
    with open_video(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b""


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest, clips: ClipStore) -> tuple[str, bytes, list[bytes]]:
    codec, container, options = STREAMS[request.param]
    path = clips.encode(f"mutated {request.param}.{container}".replace(" ", "-"), options, numbered_pictures(16))
    return codec, configuration_of(path), packets_of(path)


def test_every_parser_has_a_stream():
    assert {codec for codec, _, _ in STREAMS.values()} == PARSERS.keys()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mutations=st.lists(st.tuples(st.integers(0, 15), MUTATIONS), min_size=1, max_size=8),
    of_configuration=st.one_of(st.none(), MUTATIONS),
)
def test_a_changed_stream_is_parsed_to_its_end(
    mutations: list[tuple[int, Mutation]], of_configuration: Mutation | None, stream: tuple[str, bytes, list[bytes]]
):
    codec, configuration, packets = stream
    changed = list(packets)
    for number, mutate in mutations:
        changed[number % len(changed)] = mutate(changed[number % len(changed)])
    configuration = of_configuration(configuration) if of_configuration else configuration
    parser, is_whole = parser_for(codec, configuration, changed[0]), integrity_check(codec, configuration)
    count = ReferenceCount(configuration)

    for packet in changed:
        assert isinstance(is_whole(packet), bool)
        assert isinstance(count.jumps_before(packet), bool)
        info = parser.parse(packet)
        if info.frames:
            assert len(parser.drop_frames(packet, {0})) == len(packet)
    assert isinstance(parser.remembers, bool)
