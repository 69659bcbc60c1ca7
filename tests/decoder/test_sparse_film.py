"""A file of which parts were fetched is described and decoded as the whole one is, or it is said that it cannot be."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from byte_ranges import ByteRange, merged, total_bytes, without
from clips import (
    AV1,
    H264,
    HEIGHT_PX,
    HEVC,
    OPEN_GOP,
    VP9,
    WIDTH_PX,
    ClipStore,
    ffmpeg,
    numbered_pictures,
    with_edit_list,
)
from decoder.container.present import MissingBytes
from decoder.probe import probe
from decoder.ranges import needed_ranges
from decoding import Decoded, assert_same, decode_needed_packets, probed
from parts_of_files import copy_parts, index_of, make_opening_small
from protocol import DecodeOrder, Refusal
from records import SampleGrid, VideoInfo

LONG = 750
"""Pictures: half a minute."""
NOISE = "-vf noise=alls=30:allf=t:all_seed=1"
"""Makes packets large, as those of real films are."""
SOUND = "-f lavfi -i sine=frequency=440:duration=30"
CLIPS = {
    "index-last.mp4": f"{NOISE} {H264}",
    "index-first.mp4": f"{NOISE} {H264} -movflags faststart",
    "open-gop.mp4": f"{NOISE} {H264} {OPEN_GOP} -movflags faststart",
    "one-keyframe.mp4": f"{NOISE} {H264} -g 1000",
    "hevc.mp4": f"{NOISE} {HEVC}",
    "av1.mp4": f"{NOISE} {AV1}",
    "vp9.mp4": f"{NOISE} {VP9} -deadline realtime",
    "mpeg4.mp4": f"{NOISE} -c:v mpeg4 -q 3 -g 15 -bf 2",
    "mjpeg.mov": f"{NOISE} -c:v mjpeg -q 9 -pix_fmt yuvj420p",
    "late-start.mp4": f"{NOISE} {H264} -output_ts_offset 7",
    "negative-offsets.mp4": f"{NOISE} {H264} -movflags negative_cts_offsets -use_editlist 0",
    "changing-rate.mp4": f"{NOISE},settb=1/1000,setpts=40*N+10*mod(N\\,3) -fps_mode passthrough -enc_time_base 1/1000 "
    f"{H264}",
    "with-sound.mp4": f"{SOUND} {NOISE} {H264} -c:a aac",
    "two-films.mp4": f"-filter_complex [0:v]{NOISE.removeprefix('-vf ')},split[one][other] -map [one] -map [other] "
    f"{H264} -s:v:1 64x32",
}
FPS = Fraction(2)
WINDOWS = {"in the middle": (20, 30), "at the beginning": (0, 6), "at the end": (50, 60)}
"""The first instant and the one after the last, of two a second."""


@pytest.fixture(autouse=True)
def small_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    make_opening_small(monkeypatch)


def clip(clips: ClipStore, name: str) -> Path:
    pictures = numbered_pictures(250)
    return clips.encode(f"long-{name}", CLIPS[name], np.concatenate([pictures] * (LONG // len(pictures))))


def with_index(path: Path, directory: Path, filling: int = 0) -> tuple[Path, VideoInfo]:
    """A file of which the index was fetched, and what it holds."""
    index = index_of(path)
    copy = copy_parts(path, index, directory / path.name, filling)
    info = probe(str(copy), tuple(index))
    assert isinstance(info, VideoInfo), info
    return copy, info


def order_of(info: VideoInfo, window: tuple[int, int], *, keyframes_only: bool = False) -> DecodeOrder:
    starts = tuple(range(window[0], window[1], 4)) if keyframes_only else ()
    grid = SampleGrid(info.start_s, FPS, HEIGHT_PX, WIDTH_PX)
    return DecodeOrder(info, grid, *window, threads=2, skip_loop_filter=False, keyframes_only=keyframes_only,
                       chunk_starts=starts)  # fmt: skip


def decoded_from_parts(
    path: Path, directory: Path, window: tuple[int, int], *, keyframes_only: bool = False, filling: int = 0
) -> tuple[Decoded, Sequence[ByteRange]]:
    """What is decoded of a window with the bytes that decoding asks for, and all that were fetched."""
    copy, info = with_index(path, directory, filling)
    order = order_of(info, window, keyframes_only=keyframes_only)
    present = merged([*info.present, *needed_ranges(str(copy), order)])
    copy_parts(path, present, copy, filling)
    return decode_needed_packets(copy, replace(order, info=replace(info, present=tuple(present)))), present


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("filling", [0, 0xFF])
def test_a_film_is_described_from_its_index_as_from_all_of_it(name, filling, clips, tmp_path):
    path = clip(clips, name)
    copy, info = with_index(path, tmp_path, filling)
    assert replace(info, present=()) == probed(path)
    assert total_bytes(info.present) < copy.stat().st_size / 2


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("name", CLIPS)
def test_a_window_is_decoded_from_its_parts_as_from_all_of_the_film(name, window, clips, tmp_path):
    path = clip(clips, name)
    decoded, present = decoded_from_parts(path, tmp_path, window)
    assert_same(decoded, decode_needed_packets(path, order_of(probed(path), window)))
    assert decoded.shown
    assert decoded.damaged == 0
    assert name == "one-keyframe.mp4" or total_bytes(present) < path.stat().st_size * 0.7


@pytest.mark.parametrize("name", ["av1.mp4", "vp9.mp4", "mpeg4.mp4", "mjpeg.mov"])
def test_keyframes_alone_are_decoded_from_parts_as_from_all_of_the_film(name, clips, tmp_path):
    path, window = clip(clips, name), WINDOWS["in the middle"]
    decoded, present = decoded_from_parts(path, tmp_path, window, keyframes_only=True)
    assert_same(decoded, decode_needed_packets(path, order_of(probed(path), window, keyframes_only=True)))
    assert total_bytes(present) < path.stat().st_size * 0.7


@pytest.mark.parametrize("name", ["open-gop.mp4", "hevc.mp4"])
def test_keyframes_alone_need_all_of_a_film_of_which_the_decoder_may_return_them_in_disorder(name, clips):
    path = clip(clips, name)
    assert needed_ranges(str(path), order_of(probed(path), WINDOWS["in the middle"], keyframes_only=True)) == ()


@pytest.mark.parametrize("name", ["index-last.mp4", "hevc.mp4", "av1.mp4"])
def test_what_was_not_fetched_makes_no_difference_whatever_stands_there(name, clips, tmp_path):
    decoded, _ = decoded_from_parts(clip(clips, name), tmp_path, WINDOWS["in the middle"])
    other, _ = decoded_from_parts(clip(clips, name), tmp_path, WINDOWS["in the middle"], filling=0xAA)
    assert_same(decoded, other)


def test_a_hole_in_what_a_window_needs_is_noticed_or_not_looked_at(clips, tmp_path):
    path, window = clip(clips, "index-last.mp4"), WINDOWS["in the middle"]
    copy, info = with_index(path, tmp_path)
    whole = decode_needed_packets(path, order_of(probed(path), window))
    needed = without(needed_ranges(str(copy), order_of(info, window)), info.present)
    noticed = 0
    for start in range(needed[0].start, needed[-1].stop, total_bytes(needed) // 12):
        present = without([*info.present, *needed], [ByteRange(start, start + 1)])
        copy_parts(path, present, copy)
        try:
            decoded = decode_needed_packets(copy, order_of(replace(info, present=tuple(present)), window))
        except MissingBytes:
            noticed += 1
        else:
            assert_same(decoded, whole)
    assert noticed >= 8


def test_a_hole_in_the_beginning_is_noticed(clips, tmp_path):
    path = clip(clips, "index-last.mp4")
    for at in (100, 19_000, 95_000):  # the last one is read by libav alone
        present = without(index_of(path), [ByteRange(at, at + 1)])
        assert probe(str(copy_parts(path, present, tmp_path / "film.mp4")), present) == Refusal.MISSING_BYTES


def test_a_damaged_packet_in_a_window_is_told_as_in_the_whole_film(clips, tmp_path):
    path = clip(clips, "index-last.mp4")
    copy, info = with_index(path, tmp_path)
    part = needed_ranges(str(copy), order_of(info, WINDOWS["in the middle"]))[-1]
    content = bytearray(path.read_bytes())
    middle = (part.start + part.stop) // 2
    content[middle : middle + 20_000] = bytes(20_000)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    (tmp_path / "parts").mkdir()
    decoded, _ = decoded_from_parts(damaged, tmp_path / "parts", WINDOWS["in the middle"])
    whole = decode_needed_packets(damaged, order_of(probed(damaged), WINDOWS["in the middle"]))
    assert_same(decoded, whole)
    assert decoded.unseen == whole.unseen
    assert decoded.damaged > 0


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(f"{NOISE} {H264} -flags +ildct+ilme", id="fields"),
        pytest.param(f"{NOISE} -c:v mpeg2video -q 9 -g 15", id="a codec whose packets are cut anew"),
    ],
)
def test_a_film_that_its_index_does_not_describe_is_not_described_by_it(options, clips, tmp_path):
    path = clips.encode(f"unsure-{len(options)}.mp4", options, np.concatenate([numbered_pictures(250)] * 2))
    index = index_of(path)
    assert probe(str(copy_parts(path, index, tmp_path / "film.mp4")), index) == Refusal.MISSING_BYTES
    assert isinstance(probe(str(path)), VideoInfo)


def test_a_film_of_several_stretches_is_not_described_by_its_index(clips, tmp_path):
    path = tmp_path / "edited.mp4"
    path.write_bytes(with_edit_list(clip(clips, "index-last.mp4").read_bytes(), [(1, 5), (9, 12)]))
    assert probed(path).edits
    index = index_of(path)
    assert probe(str(copy_parts(path, index, tmp_path / "film.mp4")), index) == Refusal.MISSING_BYTES


def test_a_film_whose_first_pictures_are_hidden_is_decoded_from_parts(clips, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(with_edit_list(clip(clips, "index-last.mp4").read_bytes(), [(0.4, 28)]))
    (tmp_path / "parts").mkdir()
    decoded, _ = decoded_from_parts(path, tmp_path / "parts", WINDOWS["in the middle"])
    assert_same(decoded, decode_needed_packets(path, order_of(probed(path), WINDOWS["in the middle"])))


def test_a_film_that_begins_far_from_its_first_picture_is_not_described_by_its_index(clips, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(with_edit_list(clip(clips, "index-last.mp4").read_bytes(), [(12, 28)]))
    index = index_of(path)
    assert probe(str(copy_parts(path, index, tmp_path / "film.mp4")), index) == Refusal.MISSING_BYTES


def test_a_cover_and_chapters_do_not_hinder(clips, tmp_path):
    cover, chapters = tmp_path / "cover.png", tmp_path / "chapters.txt"
    ffmpeg("-frames:v", "1", cover, pictures=numbered_pictures(1))
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=20\ntitle=one\n")
    path, source = tmp_path / "film.mp4", clip(clips, "with-sound.mp4")
    ffmpeg("-i", source, "-i", cover, "-i", chapters, "-map", "0", "-map", "1", "-map_metadata", "2", "-c", "copy",
           "-disposition:v:1", "attached_pic", path)  # fmt: skip
    (tmp_path / "parts").mkdir()
    decoded, _ = decoded_from_parts(path, tmp_path / "parts", WINDOWS["in the middle"])
    assert_same(decoded, decode_needed_packets(path, order_of(probed(path), WINDOWS["in the middle"])))


def test_sound_before_all_pictures_is_found_out(clips, tmp_path):
    """What libav reads at first then stands in two places, of which only one was fetched."""
    path = tmp_path / "apart.mp4"
    source = clip(clips, "with-sound.mp4")
    ffmpeg("-i", source, "-map", "0:a", "-map", "0:v", "-c", "copy", "-chunk_duration", "60000000",
           "-max_interleave_delta", "0", path)  # fmt: skip
    index = index_of(path)
    info = probe(str(copy_parts(path, index, tmp_path / "film.mp4")), index)
    assert info == Refusal.MISSING_BYTES
