"""Program `python peers.py CONTENDER FILE DURATION_S FPS`: gets a file's frames and prints the cost as JSON.

Every contender returns one frame per half second of the file, RGB with 640 by 352 pixels, in chunks of 60 s plus 2 s
of the next chunk, and uses the same cores. Only vLLM's loader works as it always does and returns frames of the whole
file at full size. A contender's imports are not timed; starting the worker's child processes is.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

SAMPLE_FPS = 2
HEIGHT_PX, WIDTH_PX = 352, 640
CHUNK_S, OVERLAP_S = 60, 2
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Film:
    """A file with a constant frame rate whose first frame is at 0 s."""

    path: str
    duration_s: float
    fps: Fraction

    def spans(self) -> list[list[float]]:
        """The sampling instants of each chunk, in seconds."""
        starts_s = range(0, int(self.duration_s), CHUNK_S)
        return [
            [
                index / SAMPLE_FPS
                for index in range(start_s * SAMPLE_FPS, (start_s + CHUNK_S + OVERLAP_S) * SAMPLE_FPS)
                if index / SAMPLE_FPS < self.duration_s
            ]
            for start_s in starts_s
        ]


Chunks = Iterator[int]
"""Yields the number of frames of each chunk once they are available."""


def worker(*, fast: bool = False, most_chunks: int | None = None) -> Callable[[Film], Callable[[], Chunks]]:
    """This project, including its child processes."""

    def prepare(film: Film) -> Callable[[], Chunks]:
        from config import Settings
        from frame_extractor import FrameExtractor
        from records import Chunk, SampleGrid

        async def run() -> list[int]:
            extractor = FrameExtractor(Settings(fast_decode=fast))
            async with extractor.warm_up():
                return await chunk_sizes(extractor)

        async def chunk_sizes(extractor: FrameExtractor) -> list[int]:
            counts, path, spans = [], Path(film.path), film.spans()
            info = await extractor.get_video_info(path)
            ends_s = [min(span[0] + CHUNK_S, info.end_s) for span in spans]
            chunks = [
                Chunk(index, span[0], end_s, max(end_s, span[-1] + 1 / SAMPLE_FPS))
                for index, (span, end_s) in enumerate(zip(spans, ends_s, strict=True))
            ]
            sampling = SampleGrid(0, Fraction(SAMPLE_FPS), HEIGHT_PX, WIDTH_PX)
            async with aclosing(extractor.stream_frames(path, info, sampling, chunks)) as stream:
                async for batch in stream:
                    counts.append(len(batch.pixels))
                    note_chunk()
                    if len(counts) == most_chunks:
                        break
            return counts

        return lambda: iter(asyncio.run(run()))

    return prepare


def qwen_vl_utils(reader: str) -> Callable[[Film], Callable[[], Chunks]]:
    """Qwen's own loader with one of its readers, called once per chunk."""

    def prepare(film: Film) -> Callable[[], Chunks]:
        os.environ["FORCE_QWENVL_VIDEO_READER"] = reader
        from qwen_vl_utils import vision_process

        def run() -> Chunks:
            for span in film.spans():
                end_s = min(span[-1] + 1 / SAMPLE_FPS, film.duration_s - 0.1)
                part = {"video": film.path, "video_start": span[0], "video_end": end_s, "fps": SAMPLE_FPS}
                yield len(vision_process.fetch_video(part | {"resized_height": HEIGHT_PX, "resized_width": WIDTH_PX}))

        return run

    return prepare


def torchcodec(film: Film) -> Callable[[], Chunks]:
    """PyTorch's decoder with its own resize."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    def run() -> Chunks:
        decoder = VideoDecoder(film.path, transforms=[Resize((HEIGHT_PX, WIDTH_PX))], num_ffmpeg_threads=CORES)
        for span in film.spans():
            yield len(decoder.get_frames_played_at(span).data)

    return run


def decord(film: Film) -> Callable[[], Chunks]:
    """Decord with its own resize."""
    import decord as library

    def run() -> Chunks:
        reader = library.VideoReader(film.path, width=WIDTH_PX, height=HEIGHT_PX, num_threads=CORES)
        for span in film.spans():
            yield len(reader.get_batch([int(instant_s * film.fps) for instant_s in span]).asnumpy())

    return run


def pyav(film: Film) -> Callable[[], Chunks]:
    """PyAV, decoding from start to end."""
    import av

    def run() -> Chunks:
        wanted = {int(instant_s * film.fps) for span in film.spans() for instant_s in span}
        frames = {}
        with av.open(film.path) as container:
            container.streams.video[0].thread_type = "AUTO"
            container.streams.video[0].thread_count = CORES
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    small = frame.reformat(WIDTH_PX, HEIGHT_PX, "rgb24", interpolation="BICUBIC")
                    frames[number] = small.to_ndarray()
        for span in film.spans():
            yield len([frames[int(instant_s * film.fps)] for instant_s in span])

    return run


def opencv(film: Film) -> Callable[[], Chunks]:
    """OpenCV, which retrieves only the frames that are needed."""
    import cv2

    def run() -> Chunks:
        wanted = {int(instant_s * film.fps) for span in film.spans() for instant_s in span}
        frames = {}
        capture = cv2.VideoCapture(film.path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, CORES])
        number = 0
        while capture.grab():
            if number in wanted:
                small = cv2.resize(capture.retrieve()[1], (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA)
                frames[number] = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
            number += 1
        for span in film.spans():
            yield len([frames[int(instant_s * film.fps)] for instant_s in span])

    return run


def ffmpeg(film: Film) -> Callable[[], Chunks]:
    """The ffmpeg program with its fps filter, read through a pipe."""

    def run() -> Chunks:
        filters = f"fps={SAMPLE_FPS}:round=up:start_time=0,scale={WIDTH_PX}:{HEIGHT_PX}:flags=bicubic"
        command = ["ffmpeg", "-v", "error", "-threads", str(CORES), "-i", film.path, "-vf", filters]
        output = subprocess.run(
            [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:"], check=True, capture_output=True
        ).stdout
        assert len(output) // (HEIGHT_PX * WIDTH_PX * 3) >= SAMPLE_FPS * int(film.duration_s)
        yield from (len(span) for span in film.spans())

    return run


def vllm(film: Film) -> Callable[[], Chunks]:
    """vLLM's own loader."""
    from vllm.multimodal.video import VIDEO_LOADER_REGISTRY

    loader: Any = VIDEO_LOADER_REGISTRY.load("qwen3_vl")

    def run() -> Chunks:
        frames, _ = loader.load_bytes(Path(film.path).read_bytes(), num_frames=-1, fps=SAMPLE_FPS)
        assert len(frames) == SAMPLE_FPS * int(film.duration_s)
        yield from (len(span) for span in film.spans())

    return run


def full_decode(film: Film) -> Callable[[], Chunks]:
    """The reference: ffmpeg decodes every frame and discards it."""

    def run() -> Chunks:
        command = ["ffmpeg", "-v", "error", "-threads", str(CORES), "-i", film.path, "-an", "-f", "null", "-"]
        subprocess.run(command, check=True)
        yield from (len(span) for span in film.spans())

    return run


CONTENDERS: dict[str, Callable[[Film], Callable[[], Chunks]]] = {
    "worker": worker(),
    "worker_fast": worker(fast=True),
    "full_decode": full_decode,
    "qwen_vl_utils_torchcodec": qwen_vl_utils("torchcodec"),
    "qwen_vl_utils_decord": qwen_vl_utils("decord"),
    "torchcodec": torchcodec,
    "decord": decord,
    "pyav": pyav,
    "opencv": opencv,
    "ffmpeg_pipe": ffmpeg,
    "vllm_loader": vllm,
}
FIRST_CHUNK = "worker_first_chunk"
_first_chunk_at_s: list[float] = []


def note_chunk() -> None:
    """Record the time at which a chunk of a streaming contender is available."""
    _first_chunk_at_s.append(time.perf_counter())


def main() -> None:
    """Run one contender once."""
    name, path, duration_s, fps = sys.argv[1:]
    film = Film(path, float(duration_s), Fraction(fps))
    run = worker(most_chunks=1)(film) if name == FIRST_CHUNK else CONTENDERS[name](film)
    started_s = time.perf_counter()
    counts = []
    for count in run():
        counts.append(count)
        note_chunk()
    wall_s = time.perf_counter() - started_s
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(
        json.dumps(
            {
                "wall_s": wall_s,
                "first_chunk_s": _first_chunk_at_s[0] - started_s,
                "peak_rss_mb": (own.ru_maxrss + children.ru_maxrss) / 1024,
                "frames": sum(counts),
            }
        )
    )


if __name__ == "__main__":
    main()
