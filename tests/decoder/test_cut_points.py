"""For any rate, span and chunks every instant gets the picture on screen, and every chunk its instants."""

import asyncio
import io
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clips import HEIGHT_PX as CLIP_HEIGHT_PX
from clips import WIDTH_PX as CLIP_WIDTH_PX
from clips import Clip, ClipStore, number_in
from config import Settings
from decoder.container.frames import decode_frames
from decoder.container.open import open_video
from decoder.container.packets import Packets
from decoder.container.pts import timing_of
from decoder.container.streams import moving_streams
from decoder.convert.rgb import PictureConverter
from decoding import decode_needed_packets, order_for
from frame_extractor import FrameExtractor
from frames.assembly import BatchAssembler
from protocol import DecodeStats, PictureHeader
from records import Chunk, SampleGrid, VideoInfo

CLIPS = ("h264.mp4", "h264-open-gop.ts", "variable.mkv", "hevc.mp4", "av1.mp4", "vp9.webm", "mpeg2.ts", "h264.avi")
PREDICTED = ("h264-open-gop.mp4", "hevc.mp4", "vp9.webm", "av1.mp4")
"""Those in which most pictures are decoded from others, the H.264 one with a pyramid of B-pictures."""
DURATION_S = 3.0
HEIGHT_PX, WIDTH_PX = 32, 64
PICTURE_BYTES = HEIGHT_PX * WIDTH_PX * 3


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    name=st.sampled_from(CLIPS),
    fps=st.fractions(Fraction(1, 3), Fraction(50), max_denominator=30),
    span=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
)
def test_any_rate_and_span_shows_the_picture_on_screen(name: str, fps: Fraction, span: list[float], clips: ClipStore):
    clip = clips.clip(name)
    order = order_for(clip.path, fps)
    start, stop = (int(share * order.stop) for share in span)
    order = replace(order, start=start, stop=max(stop, start + 1))

    decoded = decode_needed_packets(clip.path, order)

    seen = {
        index: number_in(picture)
        for (first, end, _), picture in zip(decoded.shown, decoded.pixels, strict=True)
        for index in range(first, end)
    }
    last_s = float(clip.times_s[-1])
    assert seen.keys() >= {index for index in range(order.start, order.stop) if index / fps <= last_s}
    assert seen == {index: clip.number_at(index / fps) for index in seen}


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=30),
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    overlap=st.integers(0, 15),
    fps=st.sampled_from([Fraction(2), Fraction(10, 3), Fraction(25)]),
)
def test_every_chunk_gets_the_pictures_of_its_instants(
    lengths: list[int], cuts: list[int], overlap: int, fps: Fraction
):
    instants = sum(lengths)
    edges = sorted({0, instants, *(cut for cut in accumulate(cuts) if cut < instants)})
    sampling = SampleGrid(5.0, fps, HEIGHT_PX, WIDTH_PX)
    chunks = [
        Chunk(index, *(sampling.instant_s(edge) for edge in (start, stop, min(stop + overlap, instants))))
        for index, (start, stop) in enumerate(pairwise(edges))
    ]
    shown = [number for number, length in enumerate(lengths) for _ in range(length)]
    output = io.BytesIO(records(lengths))
    assembler = BatchAssembler(lambda buffer: output.readinto(buffer) == len(buffer), sampling, "uniform")

    for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
        batch = assembler.batch(chunk, following)
        wanted = sampling.indices(chunk)
        assert batch.pixels[:, 0, 0, 0].tolist() == shown[wanted.start : wanted.stop]
        assert batch.times_s.tolist() == [sampling.instant_s(index) for index in wanted]
        assert np.ptp(batch.pixels, axis=(1, 2, 3)).max() == 0
        assert batch.watched.seen_until_s == sampling.instant_s(wanted.stop)


@dataclass(frozen=True, slots=True)
class Film:
    """A clip, its description, and all its pictures, decoded in sequence."""

    clip: Clip
    info: VideoInfo
    pictures: list[np.ndarray]


@pytest.fixture(scope="module")
async def films(clips: ClipStore) -> dict[str, Film]:
    made = {name: clips.clip(name) for name in PREDICTED}
    extractor = FrameExtractor(Settings(media_timeout_s=30))
    infos = await asyncio.gather(*(extractor.get_video_info(clip.path) for clip in made.values()))
    return {
        name: Film(clip, info, decoded_in_sequence(clip.path, info.codec))
        for (name, clip), info in zip(made.items(), infos, strict=True)
    }


def decoded_in_sequence(path: Path, codec: str) -> list[np.ndarray]:
    converter = PictureConverter(CLIP_HEIGHT_PX, CLIP_WIDTH_PX, codec)
    with open_video(str(path)) as container:
        stream = moving_streams(container)[0]
        assert stream
        return [
            converter.convert(timed.frame)
            for timed in decode_frames(stream, timing_of(container, stream), Packets(container, stream))
        ]


# A failure is not shrunk: that would start a decoder hundreds of times.
@settings(derandomize=True, deadline=None, max_examples=12, phases=[Phase.generate])
@given(
    name=st.sampled_from(PREDICTED),
    fps=st.builds(Fraction, st.integers(1, 90), st.integers(2, 9)),
    cuts_s=st.lists(st.floats(0, DURATION_S), min_size=2, max_size=6, unique=True).map(sorted),
    overlap_s=st.floats(0, 1.5),
)
async def test_any_rate_and_cuts_give_each_chunk_the_pixels_of_a_full_decode(
    name: str, fps: Fraction, cuts_s: list[float], overlap_s: float, films: dict[str, Film]
):
    film, extractor = films[name], FrameExtractor(Settings(media_timeout_s=30))
    sampling = SampleGrid(0.0, fps, CLIP_HEIGHT_PX, CLIP_WIDTH_PX)
    chunks = [
        Chunk(index, start_s, end_s, min(end_s + overlap_s, DURATION_S))
        for index, (start_s, end_s) in enumerate(pairwise(cuts_s))
    ]

    stream = extractor.stream_frames(film.clip.path, film.info, sampling, chunks)
    batches = [batch async for batch in stream]

    assert [batch.chunk for batch in batches] == chunks
    for batch in batches:
        wanted = sampling.indices(batch.chunk)
        assert batch.times_s.tolist() == [sampling.instant_s(index) for index in wanted]
        on_screen = [film.pictures[film.clip.number_at(index / fps)] for index in wanted]
        assert all(np.array_equal(*pair) for pair in zip(batch.pixels, on_screen, strict=True))


def records(lengths: list[int]) -> bytes:
    """What the decoder writes for pictures of one colour, each on screen for so many instants."""
    output, first = b"", 0
    for number, length in enumerate(lengths):
        output += PictureHeader(first, length, 0.0, None).to_bytes() + bytes([number]) * PICTURE_BYTES
        first += length
    return output + PictureHeader(first, 0, 0.0, None).to_bytes() + DecodeStats().to_bytes()
