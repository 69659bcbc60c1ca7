"""What a video file holds, at which rate to look at it, and its frames."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from config import Settings
from errors import EncryptedVideo, MediaError, NoFrames, NoVideoStream, UnsupportedCodec, VideoTooLarge, VideoTooLong
from frames.assembly import BatchAssembler
from frames.reader_pool import DECODE, SCAN, VideoReaders
from protocol import GPU_CODECS, MAX_PICTURE_PIXELS, MAX_PICTURES, DecodeOrder, ProbeReply, Refusal
from records import Chunk, FrameBatch, FrameSelection, SampleGrid, VideoInfo, Watched
from strict_json import InvalidMessage
from vision import Budget, SamplingRate, fit, microseconds

log = logging.getLogger(__name__)

MAX_DECODER_THREADS = 16
"""libavcodec's own advice; every thread holds pictures, and a container may use fewer cores than it sees."""
NVIDIA_DEVICE = Path("/dev/nvidiactl")
"""There with every NVIDIA driver; looking for it opens no CUDA context."""
REFUSALS: dict[Refusal, tuple[type[MediaError], str]] = {
    Refusal.UNREADABLE: (MediaError, "The file is not a video of a supported format, or it is damaged."),
    Refusal.NO_VIDEO_STREAM: (NoVideoStream, "The file holds no moving pictures."),
    Refusal.ENCRYPTED: (EncryptedVideo, "The video is encrypted."),
    Refusal.UNSUPPORTED_CODEC: (UnsupportedCodec, "The video's codec is not supported."),
    Refusal.TOO_LARGE: (
        VideoTooLarge,
        f"The video's pictures are larger than {MAX_PICTURE_PIXELS // 1_000_000} megapixels.",
    ),
    Refusal.TOO_MANY_PICTURES: (
        VideoTooLong,
        f"The video has more than {MAX_PICTURES // 1_000_000} million pictures.",
    ),
    Refusal.NO_FRAMES: (NoFrames, "No picture of the video could be decoded."),
}


class FrameExtractor:
    """Reads videos in child processes; the worker's own process never parses a file from outside.

    Attributes:
        readers: starts those processes, early for whoever asks it to.
    """

    def __init__(self, settings: Settings) -> None:
        self._fast_decode = settings.fast_decode
        self._on_gpu = settings.decoder == "cuda" or (settings.decoder == "auto" and NVIDIA_DEVICE.exists())
        self.readers = VideoReaders(settings.media_timeout_s, decode_on_gpu=self._on_gpu)
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
        with self.readers.take(SCAN) as scanner:
            scanner.begin(path, "")
            reply = await asyncio.to_thread(scanner.read_all)
        try:
            outcome = ProbeReply.from_json(reply).outcome
        except InvalidMessage as exc:
            raise MediaError("The process that reads the video did not describe it.") from exc
        if isinstance(outcome, Refusal):
            kind, sentence = REFUSALS[outcome]
            raise kind(sentence)
        return outcome

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
        grid: SampleGrid,
        chunks: Sequence[Chunk],
        *,
        selection: FrameSelection = "uniform",
    ) -> AsyncGenerator[FrameBatch]:
        """Decode the chunks' frames in one pass, a batch a chunk, in order.

        Frames that two chunks share are decoded once. A chunk of which nothing could be decoded gives
        a batch of no frames. When the decoder fails, the chunk in work gives a batch of no frames and a fault, and
        another decoder goes on behind it; if that one gives nothing either, all that is left gives such batches.
        When it fails on a GPU, the CPU goes on with the chunk in work.
        The decoder waits while the caller holds a batch; closing the iterator kills it.

        Args:
            path: local file.
            info: of that file.
            grid: the grid of instants, and the frame size.
            chunks: in time order.
            selection: "keyframes" gives at most one for each instant, twice, at its own time; "adaptive" leaves out
                pairs of frames that look like the frame before them.

        Raises:
            MediaError: the decoders failed or gave nothing for too long, and no chunk was complete.
        """
        on_gpu = self._on_gpu and selection != "keyframes" and info.codec in GPU_CODECS and info.seekable
        order = self._order(info, grid, chunks, selection)
        left, left_at_restart = list(chunks), 0
        lost: list[FrameBatch] = []
        is_decodable = False
        while left:
            threads = 1 if on_gpu else _threads()
            order = replace(order, start=grid.indices(left[0]).start, threads=threads)
            try:
                async with aclosing(self._stream_until_fault(path, order, left, selection, on_gpu=on_gpu)) as batches:
                    async for batch in batches:
                        for fault in lost:
                            yield fault
                        left, lost, is_decodable = left[1:], [], True
                        yield batch
                        del batch  # its pixels are the caller's alone while the next is read
            except MediaError as exc:
                if on_gpu:
                    log.warning("the GPU did not decode, the CPU goes on: %s", exc)
                    on_gpu = False
                    continue
                failed = left if len(left) == left_at_restart else left[:1]
                left = left[len(failed) :]
                left_at_restart = len(left)
                if not left and not is_decodable:
                    raise
                log.warning("%d chunks from %d on are lost: %s", len(failed), failed[0].index, exc)
                lost += [_lost(chunk, grid, str(exc)) for chunk in failed]
        for fault in lost:
            yield fault

    def _order(
        self, info: VideoInfo, grid: SampleGrid, chunks: Sequence[Chunk], selection: FrameSelection
    ) -> DecodeOrder:
        return DecodeOrder(
            info=info,
            grid=grid,
            start=grid.indices(chunks[0]).start,
            stop=grid.indices(chunks[-1]).stop,
            threads=_threads(),
            skip_loop_filter=self._fast_decode,
            keyframes_only=selection == "keyframes",
        )

    async def _stream_until_fault(
        self, path: Path, order: DecodeOrder, chunks: Sequence[Chunk], selection: FrameSelection, *, on_gpu: bool
    ) -> AsyncGenerator[FrameBatch]:
        """Decode with one process; the error of a decoder that fails is raised."""
        with self.readers.take(DECODE, on_gpu=on_gpu) as decoder:
            decoder.begin(path, order.to_json())
            assembler = BatchAssembler(decoder.read_into, order.grid, selection)
            for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
                yield await asyncio.to_thread(assembler.batch, chunk, following)

    async def extract_frames(
        self, path: Path, info: VideoInfo, grid: SampleGrid, chunk: Chunk, *, selection: FrameSelection = "uniform"
    ) -> FrameBatch:
        """Decode the frames of one chunk; see stream_frames.

        Raises:
            NoFrames: the chunk's span holds no decodable picture.
            MediaError: the decoder failed or gave nothing for too long.
        """
        stream = self.stream_frames(path, info, grid, [chunk], selection=selection)
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


def _threads() -> int:
    return min(len(os.sched_getaffinity(0)), MAX_DECODER_THREADS)


def _lost(chunk: Chunk, grid: SampleGrid, fault: str) -> FrameBatch:
    """The batch of a chunk that the decoder failed on."""
    pixels = np.empty((0, grid.height_px, grid.width_px, 3), np.uint8)
    times_s, is_damaged = np.empty(0, np.float64), np.empty(0, np.bool_)
    return FrameBatch(Watched(chunk, grid, fault=fault), pixels, times_s, is_damaged)
