"""What a video file holds, at which rate to look at it, and its frames."""

import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

import media_process
from config import Settings
from errors import MediaError, NoFrames, NoVideoStream, UnsupportedCodec
from media.budget import Budget, SamplingRate, fit, microseconds
from media.wire import RECORD, DecodePlan
from media_process import MediaProcess
from records import Chunk, FrameBatch, Sampling, VideoInfo

MAX_DECODER_THREADS = 16
"""libavcodec's own advice; every thread holds pictures, and a container may use fewer cores than it sees."""
REFUSALS: dict[str, tuple[type[MediaError], str]] = {
    "unreadable": (MediaError, "The file is not a video of a supported format, or it is damaged."),
    "no_video_stream": (NoVideoStream, "The file holds no moving pictures."),
    "unsupported_codec": (UnsupportedCodec, "The video's codec is not supported."),
    "no_frames": (NoFrames, "No picture of the video could be decoded."),
}


class FrameExtractor:
    """Reads videos in child processes; the worker's own process never parses a file from outside."""

    def __init__(self, settings: Settings) -> None:
        self._media_timeout_s = settings.media_timeout_s
        self._budget = Budget(
            max_frames=settings.max_frames_per_chunk,
            max_video_tokens=settings.max_video_tokens_per_chunk,
            min_frame_tokens=settings.min_frame_tokens,
            max_frame_tokens=settings.max_frame_tokens,
            min_fps=Fraction(settings.min_sample_fps).limit_denominator(1000),
        )

    async def get_video_info(self, path: Path) -> VideoInfo:
        """Read all packets of a file and decode its first picture.

        Raises:
            MediaError: or one of its kinds; the file cannot be used.
        """
        output = await media_process.run(media_process.program("media.scan", str(path)), self._media_timeout_s)
        scanned = json.loads(output)
        if "refused" in scanned:
            kind, sentence = REFUSALS[scanned["refused"]]
            raise kind(sentence)
        scanned |= {name: Fraction(scanned[name]) for name in ("fps", "time_base_s")}
        return VideoInfo(**scanned)

    def calculate_sampling_rate(self, info: VideoInfo, span_s: float, wanted_fps: float) -> SamplingRate:
        """Return rate and frame size for chunks that see span_s seconds, within the frame and token budgets.

        Pure arithmetic; the first call imports qwen-vl-utils and takes seconds.
        """
        wanted = Fraction(str(wanted_fps))  # the decimal that the float was written as: 0.1 means a tenth
        span = Fraction(microseconds(span_s), 1_000_000)
        return fit(span, wanted, info.height_px, info.width_px, self._budget)

    async def stream_frames(
        self, path: Path, info: VideoInfo, sampling: Sampling, chunks: Sequence[Chunk], *, keyframes_only: bool = False
    ) -> AsyncGenerator[FrameBatch]:
        """Decode the chunks' frames in one pass, a batch a chunk, in order.

        Frames that two chunks share are decoded once. A chunk of which nothing could be decoded gives
        a batch of no frames. The decoder waits while the caller holds a batch; closing the iterator
        kills it.

        Args:
            path: local file.
            info: of that file.
            sampling: the grid of instants, and the frame size.
            chunks: in time order.
            keyframes_only: only intra pictures, at most one for each instant, at their own times.

        Raises:
            MediaError: the decoder failed or gave nothing for too long.
        """
        plan = DecodePlan(
            path=str(path),
            stream_index=info.stream_index,
            first_pts=info.first_pts,
            time_base_s=str(info.time_base_s),
            video_fps=str(info.fps),
            fps=str(sampling.fps),
            start=sampling.indices(chunks[0]).start,
            stop=sampling.indices(chunks[-1]).stop,
            height_px=sampling.height_px,
            width_px=sampling.width_px,
            threads=min(len(os.sched_getaffinity(0)), MAX_DECODER_THREADS),
            keyframes_only=keyframes_only,
        )
        argv = media_process.program("media.decode", json.dumps(asdict(plan)))
        with MediaProcess(argv, self._media_timeout_s) as process:
            assembler = _BatchAssembler(process, sampling, true_times=keyframes_only)
            for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
                yield await asyncio.to_thread(assembler.batch, chunk, following)

    async def extract_frames(
        self, path: Path, info: VideoInfo, sampling: Sampling, chunk: Chunk, *, keyframes_only: bool = False
    ) -> FrameBatch:
        """Decode the frames of one chunk.

        Raises:
            NoFrames: the chunk's span holds no decodable picture.
            MediaError: the decoder failed or gave nothing for too long.
        """
        stream = self.stream_frames(path, info, sampling, [chunk], keyframes_only=keyframes_only)
        async with aclosing(stream):
            batch = await anext(stream)
        if len(batch.pixels):
            return batch
        raise NoFrames(f"No picture between {chunk.start_s:g} s and {chunk.seen_end_s:g} s could be decoded.")

    @staticmethod
    def save_jpegs(batch: FrameBatch, directory: Path, quality: int = 90) -> list[Path]:
        """Write the frames as JPEG files named by their time in milliseconds, in time order.

        Args:
            batch: frames.
            directory: an existing directory.
            quality: 1 to 95, as Pillow counts it.
        """
        from PIL import Image  # only callers who want files pay for the import

        paths = [directory / f"frame_{round(time_s * 1000):012d}ms.jpg" for time_s in batch.times_s]
        for pixels, path in zip(batch.pixels, paths, strict=True):
            Image.fromarray(pixels).save(path, quality=quality)
        return paths


@dataclass(slots=True)
class _Record:
    """A decoded picture and the instants [first, stop) that it still has to serve."""

    first: int
    stop: int
    time_s: float
    pixels: npt.NDArray[np.uint8]


class _BatchAssembler:
    """Turns the decoder's records into batches; keeps the frames that the next chunk sees again."""

    def __init__(self, process: MediaProcess, sampling: Sampling, *, true_times: bool) -> None:
        self._process = process
        self._sampling = sampling
        self._true_times = true_times
        self._pending: _Record | None = None
        self._shared: list[_Record] = []

    def batch(self, chunk: Chunk, following: Chunk | None) -> FrameBatch:
        """Read until the chunk is complete; blocks while the decoder works."""
        started_s = time.monotonic()
        sampling, wanted = self._sampling, self._sampling.indices(chunk)
        pixels = np.empty((len(wanted), sampling.height_px, sampling.width_px, 3), np.uint8)
        times_s = np.empty(len(wanted), np.float64)
        shared, self._shared = self._shared, []
        keep_from = sampling.indices(following).start if following else wanted.stop
        filled = 0
        while record := shared.pop(0) if shared else self._next_record(wanted.stop):
            for index in range(max(record.first, wanted.start), min(record.stop, wanted.stop)):
                pixels[filled] = record.pixels
                times_s[filled] = record.time_s if self._true_times else sampling.instant_s(index)
                filled += 1
            if min(record.stop, wanted.stop) > keep_from:
                first, stop = max(record.first, keep_from), min(record.stop, wanted.stop)
                self._shared.append(_Record(first, stop, record.time_s, record.pixels))
        return FrameBatch(chunk, pixels[:filled], times_s[:filled], sampling.fps, time.monotonic() - started_s)

    def _next_record(self, stop: int) -> _Record | None:
        """Return the part of the next picture's instants before `stop`; None when they lie behind it."""
        if self._pending is None:
            self._pending = self._read_record()
        pending = self._pending
        if pending is None or pending.first >= stop:
            return None
        part = _Record(pending.first, min(pending.stop, stop), pending.time_s, pending.pixels)
        self._pending = None if part.stop == pending.stop else pending
        pending.first = part.stop
        return part

    def _read_record(self) -> _Record | None:
        header = bytearray(RECORD.size)
        if not self._process.read_into(memoryview(header)):
            return None
        first, count, time_s = RECORD.unpack(header)
        pixels = np.empty((self._sampling.height_px, self._sampling.width_px, 3), np.uint8)
        if not self._process.read_into(pixels.data.cast("B")):
            raise MediaError("The decoder stopped in the middle of a picture.")
        return _Record(first, first + count, self._sampling.origin_s + time_s, pixels)
