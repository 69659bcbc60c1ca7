"""Packets that no wanted picture needs are not decoded, and the wanted pictures keep every pixel."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from clips import H264, HEVC, MPEG2, VARIABLE_RATE, VP9, ClipStore, numbered_pictures
from decoder import decode
from decoder.bitstream import h264
from decoder.bitstream.av1 import Av1
from decoder.bitstream.base import ReferenceInfo
from decoding import assert_same, decode_all_packets, decode_needed_packets, order_for

ORDERS = ((Fraction(2), 0), (Fraction(10, 3), 3), (Fraction(1, 2), 1), (Fraction(25, 7), 1))
"""Rates, and the index of the first instant."""
GOPS = {
    "closed-groups.mp4": f"{H264} -sc_threshold 0",
    "pyramid.mp4": "-c:v libx264 -preset slow -g 50 -bf 8 -b-pyramid normal -pix_fmt yuv420p",
    "open-pyramid.mp4": "-c:v libx264 -g 25 -bf 5 -b-pyramid normal -pix_fmt yuv420p -x264-params open-gop=1",
    "open-pyramid-hevc.mkv": HEVC.replace("ultrafast", "fast").replace("bframes=3", "bframes=5:b-pyramid=1"),
    "one-group.mkv": "-c:v libx264 -preset medium -g 1000 -pix_fmt yuv420p",
    "intra-refresh.mp4": f"{H264} -intra-refresh 1",
    "closed-hevc.mp4": HEVC.replace("open-gop=1", "open-gop=0"),
    "layers-hevc.mkv": HEVC.replace("open-gop=1", "open-gop=0:temporal-layers=3:b-adapt=0:b-pyramid=1"),
    "closed-mpeg2.ts": f"{MPEG2} -flags +cgop -sc_threshold 1000000000",
    "short-groups-vp9.webm": f"{VP9} -g 5",
    "svt-av1.mp4": "-c:v libsvtav1 -preset 8 -g 240 -pix_fmt yuv420p",
    "libaom-realtime.mkv": "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 60 -pix_fmt yuv420p",
}
MOST_DECODED = {
    "h264.mp4": 0.65, "h264.ts": 0.65, "variable.mkv": 0.65, "pyramid.mp4": 0.7, "one-group.mkv": 0.8, "hevc.mp4": 0.6,
    "closed-hevc.mp4": 0.5, "mpeg2.ts": 0.45, "mpeg4.mp4": 0.45, "prores.mov": 0.1, "short-groups-vp9.webm": 0.3,
    "svt-av1.mp4": 0.5, "av1.webm": 0.6,
}  # fmt: skip
"""The share of the packets that is decoded at 2 frames per second, at most."""


REORDERED = [
    "h264-open-gop.mp4", "h264-one-keyframe.mp4", "h264-from-zero-dts.mp4", "h264-open-gop.ts", "hevc.mkv", "hevc.ts",
    "vp8-hidden-pictures.webm", "mpeg2.ts", *VARIABLE_RATE,
]  # fmt: skip
"""Clips of CONSTANT_RATE and VARIABLE_RATE of which many packets are dropped; test_every_kind_of_file has all."""
OPEN_GOPS = ["h264-open-gop.mp4", "h264-open-gop.ts", "hevc.mp4", "hevc.ts", "mpeg2.ts"]


def clip_path(clips: ClipStore, name: str) -> Path:
    return clips.encode(name, GOPS[name], numbered_pictures()) if name in GOPS else clips.clip(name).path


@pytest.mark.parametrize("name", [*REORDERED, *GOPS])
def test_decoding_only_the_needed_packets_changes_no_pixel(name: str, clips: ClipStore):
    path = clip_path(clips, name)
    for fps, start in ORDERS:
        order = order_for(path, fps, start)
        expected = decode_all_packets(path, order)
        selected = decode_needed_packets(path, order)
        assert expected.shown
        assert_same(selected, expected)
        assert selected.damaged == 0


@pytest.mark.parametrize("name", MOST_DECODED)
def test_packets_that_no_wanted_picture_needs_are_not_decoded(name: str, clips: ClipStore):
    path = clip_path(clips, name)
    decoded = decode_needed_packets(path, order_for(path, Fraction(2)))
    assert decoded.packets_decoded <= MOST_DECODED[name] * decoded.packets_read


@pytest.mark.parametrize("name", OPEN_GOPS)
def test_open_gops_without_a_wanted_picture_are_not_decoded(name: str, clips: ClipStore):
    path = clip_path(clips, name)
    decoded = decode_needed_packets(path, order_for(path, Fraction(1, 2)))
    assert decoded.packets_decoded <= 0.15 * decoded.packets_read


def test_unneeded_frames_are_dropped_from_an_av1_packet_of_several_frames(
    clips: ClipStore, monkeypatch: pytest.MonkeyPatch
):
    dropped: list[int] = []
    drop_frames = Av1.drop_frames

    def counted(self: Av1, packet: bytes, frames: set[int]) -> bytes:
        dropped.append(len(frames))
        return drop_frames(self, packet, frames)

    monkeypatch.setattr(Av1, "drop_frames", counted)
    path = clip_path(clips, "svt-av1.mp4")
    decoded = decode_needed_packets(path, order_for(path, Fraction(2)))
    assert sum(dropped) > decoded.packets_decoded / 4


def test_a_parser_that_takes_a_reference_picture_for_a_non_reference_picture_changes_pixels(
    clips: ClipStore, monkeypatch: pytest.MonkeyPatch
):
    class OneTooMany(h264.H264):
        """Takes the fifth picture for a non-reference picture, whatever references it."""

        calls = 0

        def parse(self, packet: bytes) -> ReferenceInfo:
            self.calls += 1
            info = super().parse(packet)
            return replace(info, refresh_slots=0) if self.calls == 5 else info

    monkeypatch.setattr(decode, "parser_for", lambda _codec, extradata, _first: OneTooMany(extradata))
    path = clip_path(clips, "one-group.mkv")
    order = order_for(path, Fraction(2))
    with pytest.raises(AssertionError):
        assert_same(decode_needed_packets(path, order), decode_all_packets(path, order))
