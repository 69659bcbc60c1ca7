"""What a video file holds, at which rate to look at it, and its frames."""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

import media_process
from config import Settings
from errors import EncryptedVideo, MediaError, NoFrames, NoVideoStream, UnsupportedCodec, VideoTooLarge
from media.budget import Budget, SamplingRate, fit, microseconds
from media.thinning import changing_pairs
from media.wire import RECORD, SUMMARY, DecodePlan
from media_process import MediaProcess
from records import Chunk, FrameBatch, Sampling, SamplingMode, VideoInfo

log = logging.getLogger(__name__)

MAX_DECODER_THREADS = 16
"""libavcodec's own advice; every thread holds pictures, and a container may use fewer cores than it sees."""
REFUSALS: dict[str, tuple[type[MediaError], str]] = {
    "unreadable": (MediaError, "The file is not a video of a supported format, or it is damaged."),
    "no_video_stream": (NoVideoStream, "The file holds no moving pictures."),
    "encrypted": (EncryptedVideo, "The video is encrypted."),
    "unsupported_codec": (UnsupportedCodec, "The video's codec is not supported."),
    "too_large": (VideoTooLarge, "The video's pictures are larger than 36 megapixels."),
    "no_frames": (NoFrames, "No picture of the video could be decoded."),
}


class FrameExtractor:
    """Reads videos in child processes; the worker's own process never parses a file from outside."""

    def __init__(self, settings: Settings) -> None:
        self._media_timeout_s = settings.media_timeout_s
        self._fast_decode = settings.fast_decode
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
        self,
        path: Path,
        info: VideoInfo,
        sampling: Sampling,
        chunks: Sequence[Chunk],
        *,
        mode: SamplingMode = "uniform",
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
            mode: "keyframes" gives at most one for two instants, twice, at its own time; "adaptive" leaves out pairs of
                frames that look like the frame before them.

        Raises:
            MediaError: the decoder failed or gave nothing for too long.
        """
        keyframes_only = mode == "keyframes"
        if keyframes_only:  # each makes a pair by itself: two would share the mean of their times
            sampling = replace(sampling, fps=sampling.fps / 2)
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
            fast=self._fast_decode,
            keyframes_only=keyframes_only,
        )
        argv = media_process.program("media.decode", json.dumps(asdict(plan)))
        with MediaProcess(argv, self._media_timeout_s) as process:
            assembler = _BatchAssembler(process, sampling, mode)
            for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
                yield await asyncio.to_thread(assembler.batch, chunk, following)

    async def extract_frames(
        self, path: Path, info: VideoInfo, sampling: Sampling, chunk: Chunk, *, mode: SamplingMode = "uniform"
    ) -> FrameBatch:
        """Decode the frames of one chunk; see stream_frames.

        Raises:
            NoFrames: the chunk's span holds no decodable picture.
            MediaError: the decoder failed or gave nothing for too long.
        """
        stream = self.stream_frames(path, info, sampling, [chunk], mode=mode)
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
class _Picture:
    """A decoded picture and the instants [first, stop) that it still has to serve."""

    first: int
    stop: int
    time_s: float
    pixels: npt.NDArray[np.uint8] | None = None
    """None while they are still in the pipe."""


class _BatchAssembler:
    """Reads the decoder's pictures into batches; keeps those that the next chunk sees again."""

    def __init__(self, process: MediaProcess, sampling: Sampling, mode: SamplingMode) -> None:
        self._process = process
        self._sampling = sampling
        self._mode = mode
        self._waiting: list[_Picture] = []
        self._ended = False

    def batch(self, chunk: Chunk, following: Chunk | None) -> FrameBatch:
        """Read until the chunk is complete; blocks while the decoder works."""
        started_s = time.monotonic()
        sampling, wanted = self._sampling, self._sampling.indices(chunk)
        places = 2 * len(wanted) if self._mode == "keyframes" else len(wanted)
        pixels = np.empty((places, sampling.height_px, sampling.width_px, 3), np.uint8)
        times_s = np.empty(places, np.float64)
        keep_from = sampling.indices(following).start if following else None
        kept: list[_Picture] = []
        filled, seen_until_s = 0, chunk.start_s
        while picture := self._next_before(wanted.stop):
            served = range(max(picture.first, wanted.start), min(picture.stop, wanted.stop))
            if self._mode == "keyframes":
                frames_s = [picture.time_s] * 2 if picture.first in served else []
            else:
                frames_s = [sampling.instant_s(index) for index in served]
            place = pixels[filled] if frames_s else np.empty_like(pixels, shape=pixels.shape[1:])
            self._read_pixels(picture, place)
            pixels[filled + 1 : filled + len(frames_s)] = place
            times_s[filled : filled + len(frames_s)] = frames_s
            filled += len(frames_s)
            if filled:
                seen_until_s = sampling.instant_s(served.stop)
            if keep_from is not None and picture.stop > keep_from:
                kept.append(replace(picture, pixels=place.copy()))
        self._waiting = kept + self._waiting
        pixels, times_s = pixels[:filled], times_s[:filled]
        if self._mode == "adaptive":
            changing = changing_pairs(pixels)
            pixels, times_s = pixels[changing], times_s[changing]
        return FrameBatch(chunk, pixels, times_s, sampling.fps, seen_until_s, time.monotonic() - started_s)

    def _next_before(self, stop: int) -> _Picture | None:
        """Take the next picture, if it serves an instant before `stop`."""
        if not self._waiting and not self._ended:
            self._read_header()
        if not self._waiting or self._waiting[0].first >= stop:
            return None
        return self._waiting.pop(0)

    def _read_header(self) -> None:
        first, count, time_s = RECORD.unpack(self._read(RECORD.size))
        if count:
            self._waiting.append(_Picture(first, first + count, self._sampling.origin_s + time_s))
            return
        self._ended = True
        packets, decoded, groups = SUMMARY.unpack(self._read(SUMMARY.size))
        if packets:
            log.info("decoded %d of %d packets, %d groups of pictures by themselves", decoded, packets, groups)
        else:
            log.info("decoded all %s", "keyframes" if self._mode == "keyframes" else "packets")

    def _read_pixels(self, picture: _Picture, place: npt.NDArray[np.uint8]) -> None:
        if picture.pixels is not None:
            place[:] = picture.pixels
        elif not self._process.read_into(place.data.cast("B")):
            raise MediaError("The decoder stopped before a picture.")

    def _read(self, size_bytes: int) -> bytes:
        part = bytearray(size_bytes)
        if not self._process.read_into(memoryview(part)):
            raise MediaError("The decoder stopped too early.")
        return bytes(part)
