"""Pictures that nobody wants are not decoded, and those that somebody wants lose not one step of a pixel by it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from clips import H264, HEVC, MPEG2, VARIABLE_RATE, VP9, ClipStore, numbered_pictures
from decoder import decode
from decoder.bitstream import h26x as nal
from decoder.bitstream.av1 import Av1
from decoder.bitstream.base import Traits
from decoder.decode import Grid, Tally
from decoder.gop import pool as decoders
from decoder.gop.pool import side_by_side
from decoding import assert_same, decoded_sparsely, decoded_whole, plan_of

PLANS = ((Fraction(2), 0), (Fraction(10, 3), 3), (Fraction(1, 2), 1), (Fraction(25, 7), 1))
"""Rates, and the first instants."""
GROUPS = {
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
    "libaom.mkv": "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 60 -pix_fmt yuv420p",
}
MOST_DECODED = {
    "h264.mp4": 0.65, "h264.ts": 0.65, "variable.mkv": 0.65, "pyramid.mp4": 0.7, "one-group.mkv": 0.8, "hevc.mp4": 0.6,
    "closed-hevc.mp4": 0.5, "mpeg2.ts": 0.45, "mpeg4.mp4": 0.45, "prores.mov": 0.1, "short-groups-vp9.webm": 0.3,
    "svt-av1.mp4": 0.5, "av1.webm": 0.6,
}  # fmt: skip
"""The share of the packets that has to be decoded at 2 frames a second, at most."""


REORDERED = [
    "h264-open-gop.mp4", "h264-one-keyframe.mp4", "h264-from-zero-dts.mp4", "h264-open-gop.ts", "hevc.mkv", "hevc.ts",
    "vp8-hidden-pictures.webm", "mpeg2.ts", *VARIABLE_RATE,
]  # fmt: skip
"""Clips of CONSTANT_RATE and VARIABLE_RATE in which much is left out; test_every_kind_of_file has all."""
OPEN_GROUPS = ["h264-open-gop.mp4", "h264-open-gop.ts", "hevc.mp4", "hevc.ts", "mpeg2.ts"]


def clip_path(clips: ClipStore, name: str) -> Path:
    return clips.encode(name, GROUPS[name], numbered_pictures()) if name in GROUPS else clips.clip(name).path


@pytest.mark.parametrize("name", [*REORDERED, *GROUPS])
def test_what_is_left_out_changes_no_pixel(name: str, clips: ClipStore):
    path = clip_path(clips, name)
    for fps, start in PLANS:
        plan = plan_of(path, fps, start)
        whole = decoded_whole(plan)
        sparse = decoded_sparsely(plan)
        assert whole.shown
        assert_same(sparse, whole)
        assert sparse.damaged == 0


@pytest.mark.parametrize("name", MOST_DECODED)
def test_pictures_that_nobody_needs_are_left_out(name: str, clips: ClipStore):
    result = decoded_sparsely(plan_of(clip_path(clips, name), Fraction(2)))
    assert result.kept <= MOST_DECODED[name] * result.packets


@pytest.mark.parametrize("name", OPEN_GROUPS)
def test_open_groups_of_which_no_picture_is_needed_are_left_out(name: str, clips: ClipStore):
    result = decoded_sparsely(plan_of(clip_path(clips, name), Fraction(1, 2)))
    assert result.kept <= 0.15 * result.packets


def test_of_a_packet_of_several_pictures_those_that_nobody_needs_are_left_out(
    clips: ClipStore, monkeypatch: pytest.MonkeyPatch
):
    left_out: list[int] = []
    without = Av1.without

    def counted(self: Av1, packet: bytes, frames: set[int]) -> bytes:
        left_out.append(len(frames))
        return without(self, packet, frames)

    monkeypatch.setattr(Av1, "without", counted)
    result = decoded_sparsely(plan_of(clip_path(clips, "svt-av1.mp4"), Fraction(2)))
    assert sum(left_out) > result.kept / 4


@pytest.mark.parametrize(
    ("size_px", "at_once"), [((352, 640), 16), ((1080, 1920), 16), ((2160, 3840), 5), ((4320, 7680), 1)]
)
def test_large_pictures_are_decoded_by_fewer_decoders_at_once(size_px: tuple[int, int], at_once: int):
    assert side_by_side(16, *size_px) == at_once


def test_groups_one_after_the_other_give_the_same_pictures(clips: ClipStore, monkeypatch: pytest.MonkeyPatch):
    plan = plan_of(clip_path(clips, "closed-groups.mp4"), Fraction(2))
    at_once = decoded_sparsely(plan)
    monkeypatch.setattr(decode, "side_by_side", lambda *_: 1)
    assert_same(decoded_sparsely(plan), at_once)


@pytest.mark.parametrize(("room_for", "ahead"), [(2, 1), (30, 2), (1000, 3)])
def test_groups_are_decoded_no_further_ahead_than_their_pictures_have_room(
    room_for: int, ahead: int, clips: ClipStore, monkeypatch: pytest.MonkeyPatch
):
    plan = plan_of(clip_path(clips, "closed-groups.mp4"), Fraction(25))
    monkeypatch.setattr(decoders, "WAITING_BYTES_A_DECODER", room_for * plan.picture_bytes // 2)
    submitted: list[None] = []
    put = decoders.Ahead.put
    monkeypatch.setattr(decoders.Ahead, "put", lambda *arguments: submitted.append(put(*arguments)))

    pictures = decode.pictures_from(plan, Grid(plan), Tally())

    next(pictures)
    assert len(submitted) == ahead
    assert len(list(pictures)) == 74


def test_a_rule_that_drops_one_picture_too_many_is_noticed(clips: ClipStore, monkeypatch: pytest.MonkeyPatch):
    class OneTooMany(nal.H264):
        """Takes the fifth picture for disposable, whoever refers to it."""

        calls = 0

        def traits(self, packet: bytes) -> Traits:
            self.calls += 1
            traits = super().traits(packet)
            return replace(traits, writes=0) if self.calls == 5 else traits

    monkeypatch.setattr(decode, "references_of", lambda _codec, extradata: OneTooMany(extradata))
    plan = plan_of(clip_path(clips, "one-group.mkv"), Fraction(2))
    with pytest.raises(AssertionError):
        assert_same(decoded_sparsely(plan), decoded_whole(plan))
