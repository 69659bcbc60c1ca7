"""Every chunk file plays, starts where it says, and holds what its chunk sees."""

import itertools
from fractions import Fraction
from pathlib import Path

import pytest

from clips import CONSTANT, Clip, ClipStore, number_in, with_display_matrix
from decoding import decode_needed_packets, order_for, probed
from errors import UnsupportedCodec
from frames.split import ChunkFile, Splitter
from records import Chunk, VideoInfo


async def probe_in_process(path: Path) -> VideoInfo:
    return probed(path)


async def split(clip: Clip, directory: Path) -> tuple[VideoInfo, list[ChunkFile]]:
    """Three chunks, each of which sees 0.4 s of the next."""
    info = probed(clip.path)
    edges_s = [info.start_s, info.start_s + 1.1, info.start_s + 2.05, info.end_s]
    chunks = [
        Chunk(index, start_s, end_s, min(end_s + 0.4, info.end_s))
        for index, (start_s, end_s) in enumerate(itertools.pairwise(edges_s))
    ]
    return info, await Splitter(probe_in_process, timeout_s=30).split(clip.path, info, chunks, directory)


def numbers_in(path: Path) -> list[int]:
    """The numbers on the pictures of a file."""
    decoded = decode_needed_packets(path, order_for(path, Fraction(50)))
    return sorted({number_in(picture) for picture in decoded.pixels})


SPLITTABLE = [
    "h264-open-gop.mp4",
    "h264-one-keyframe.mp4",
    "h264.ts",
    "h264.flv",
    "vp9.webm",
    "av1.mp4",
    "prores.mov",
    "variable.mkv",
    "wmv2.wmv",
]


@pytest.mark.parametrize("name", [*SPLITTABLE, "cut.mp4", "late.mp4", "alone-and-late.mp4", "alone-and-late.mkv"])
async def test_every_chunk_file_plays_starts_where_it_says_and_holds_what_the_chunk_sees(
    name: str, clips: ClipStore, tmp_path: Path
):
    if name == "cut.mp4":
        cut = clips.copy(name, "h264.mp4", "-ss 0.9 -i {} -c copy")
        clip = Clip(cut, CONSTANT[: 75 - 23], range(23, 75))
    elif name.startswith("alone-and-late"):
        clip = Clip(clips.copy(name, "h264.mp4", "-i {} -c copy -output_ts_offset 7"), CONSTANT)
    elif name == "late.mp4":
        late = "-f lavfi -i sine=d=6 -itsoffset 2 -i {} -map 0:a -map 1:v -c:v copy"
        clip = Clip(clips.copy(name, "h264.mp4", late), CONSTANT)
    else:
        clip = clips.clip(name)

    info, files = await split(clip, tmp_path)

    assert len(files) == 3
    for file in files:
        numbers = numbers_in(file.path)
        assert file.first_frame_s <= file.chunk.start_s
        assert numbers[0] == clip.number_at(file.first_frame_s - info.start_s + 0.0005)
        seen_s = file.chunk.seen_end_s - info.start_s - 0.001
        assert set(range(numbers[0], clip.number_at(seen_s) + 1)) <= set(numbers)


async def test_turned_pictures_stay_turned_in_the_chunk_files(clips: ClipStore, tmp_path: Path):
    upright = clips.clip("h264.mp4").path.read_bytes()
    clip = Clip(clips.write("turned.mp4", with_display_matrix(upright, 0, 1, -1, 0)), CONSTANT)

    _, files = await split(clip, tmp_path)

    assert [probed(file.path).rotation_deg for file in files] == [90, 90, 90]


async def test_a_source_without_picture_times_is_refused(clips: ClipStore, tmp_path: Path):
    with pytest.raises(UnsupportedCodec, match="cannot be cut"):
        await split(clips.clip("h264.avi"), tmp_path)
