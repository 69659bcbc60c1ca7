"""One pass over a video's chunks: which decoder works on them, and what happens when it fails."""

import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np

from byte_ranges import ByteRange
from errors import MediaError
from frames.assembly import BatchAssembler
from frames.missing import BytesMissing
from frames.reader_pool import DECODE, RANGES, VideoReaders
from frames.selection import SELECTORS
from own_thread import in_own_thread
from protocol import GPU_CODECS, DecodeOrder, RangesReply
from records import Chunk, FrameBatch, FrameSelection, SampleGrid, VideoInfo, Watched
from strict_json import InvalidMessage

log = logging.getLogger(__name__)

MAX_DECODER_THREADS = 16
"""libavcodec's own advice; every thread holds pictures, and a container may use fewer cores than it sees."""


FetchRest = Callable[[], Awaitable[object]]
"""Fetches what is missing of a file."""


class RemainingChunks:
    """The chunks that a pass has still to deliver, and which of them are given up when a decoder fails.

    A failed decoder loses the chunk that it was working on, and the next decoder continues after it. If that one
    delivers nothing either, the rest of the file is taken for undecodable and no more decoders are started.

    Attributes:
        chunks: those that remain.
        has_delivered: some chunk was complete.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = list(chunks)
        self.has_delivered = False
        self._left_at_restart = 0

    def deliver_next(self) -> None:
        """The decoder completed the first remaining chunk."""
        self.chunks = self.chunks[1:]  # a new list: the decoder still goes through the old one
        self.has_delivered = True

    def give_up(self) -> list[Chunk]:
        """Remove and return the chunks that are lost with the decoder that failed."""
        delivered_nothing_again = len(self.chunks) == self._left_at_restart
        lost = self.chunks if delivered_nothing_again else self.chunks[:1]
        self.chunks = self.chunks[len(lost) :]
        self._left_at_restart = len(self.chunks)
        return lost


class FrameStreamer:
    """Streams the frames of videos from decoder processes.

    Args:
        readers: where the decoders come from.
        use_gpu: decode on the GPU what it can decode.
        skip_loop_filter: see DecodeOrder.
    """

    def __init__(self, readers: VideoReaders, *, use_gpu: bool, skip_loop_filter: bool) -> None:
        self._readers = readers
        self._use_gpu = use_gpu
        self._skip_loop_filter = skip_loop_filter

    async def byte_ranges(
        self, path: Path, info: VideoInfo, grid: SampleGrid, chunks: Sequence[Chunk], selection: FrameSelection
    ) -> tuple[ByteRange, ...]:
        """Return what `stream` reads; see FrameExtractor.byte_ranges.

        Raises:
            MediaError: the process that reads the index failed.
        """
        async with self._readers.take(RANGES) as reader:
            reader.begin(path, self._order(info, grid, chunks, selection).to_json())
            reply = await in_own_thread(lambda: reader.read_all(self._readers.probe_timeout_s(path)))
        try:
            return RangesReply.from_json(reply).ranges
        except InvalidMessage as exc:
            raise MediaError("The process that reads the video's index did not say where its pictures are.") from exc

    async def stream(  # noqa: PLR0913  # the first five say what is decoded
        self,
        path: Path,
        info: VideoInfo,
        grid: SampleGrid,
        chunks: Sequence[Chunk],
        selection: FrameSelection,
        *,
        fetch_rest: FetchRest | None = None,
    ) -> AsyncGenerator[FrameBatch]:
        """Decode the chunks' frames; see FrameExtractor.stream_frames.

        Raises:
            BytesMissing: the file was fetched in parts that are not enough, and there is no fetch_rest.
            MediaError: the decoders failed, and no chunk was complete.
        """
        order = self._order(info, grid, chunks, selection)
        on_gpu = self._use_gpu and _gpu_can_decode(order)
        remaining = RemainingChunks(chunks)
        lost: list[FrameBatch] = []  # held back until a later chunk is complete: if none ever is, the job fails
        while remaining.chunks:
            first = grid.indices(remaining.chunks[0]).start
            order = replace(order, start=first, threads=1 if on_gpu else _decoder_threads())
            try:
                batches = self._decode(path, order, remaining.chunks, selection, on_gpu=on_gpu)
                async with aclosing(batches):
                    async for batch in batches:
                        for lost_batch in lost:
                            yield lost_batch
                        lost = []
                        remaining.deliver_next()
                        yield batch
                        del batch  # its pixels are the caller's alone while the next batch is read
            except BytesMissing:
                if fetch_rest is None or not order.info.present:
                    raise
                log.warning("the parts of the file that were fetched are not enough: the rest is fetched")
                await fetch_rest()
                order = replace(order, info=replace(order.info, present=()))
            except MediaError as exc:
                if on_gpu:
                    log.warning("the GPU did not decode, the CPU goes on: %s", exc)
                    on_gpu = False
                    continue
                given_up = remaining.give_up()
                if not remaining.chunks and not remaining.has_delivered:
                    raise
                log.warning("%d chunks from %d on are lost: %s", len(given_up), given_up[0].index, exc)
                lost += [_lost_batch(chunk, grid, str(exc)) for chunk in given_up]
        for lost_batch in lost:
            yield lost_batch

    def _order(
        self, info: VideoInfo, grid: SampleGrid, chunks: Sequence[Chunk], selection: FrameSelection
    ) -> DecodeOrder:
        """The order for all chunks."""
        return DecodeOrder(
            info=info,
            grid=grid,
            start=grid.indices(chunks[0]).start,
            stop=grid.indices(chunks[-1]).stop,
            threads=_decoder_threads(),
            skip_loop_filter=self._skip_loop_filter,
            keyframes_only=SELECTORS[selection].keyframes_only,
            chunk_starts=tuple(sorted({grid.indices(chunk).start for chunk in chunks})),
        )

    async def _decode(
        self, path: Path, order: DecodeOrder, chunks: Sequence[Chunk], selection: FrameSelection, *, on_gpu: bool
    ) -> AsyncGenerator[FrameBatch]:
        """Decode with one process.

        Raises:
            MediaError: the process failed or delivered nothing for too long.
        """
        async with self._readers.take(DECODE, on_gpu=on_gpu) as decoder:
            decoder.begin(path, order.to_json())
            assembler = BatchAssembler(decoder.read_into, order.grid, selection)
            for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
                yield await in_own_thread(assembler.batch, chunk, following)


def _decoder_threads() -> int:
    return min(len(os.sched_getaffinity(0)), MAX_DECODER_THREADS)


def _gpu_can_decode(order: DecodeOrder) -> bool:
    """Whether the decoder has a GPU path for an order: it has none for keyframes alone or for unseekable files."""
    return order.info.codec in GPU_CODECS and order.info.seekable and not order.keyframes_only


def _lost_batch(chunk: Chunk, grid: SampleGrid, fault: str) -> FrameBatch:
    """Return the batch of a chunk whose decoder failed: no frames, and why."""
    pixels = np.empty((0, grid.height_px, grid.width_px, 3), np.uint8)
    times_s, is_damaged = np.empty(0, np.float64), np.empty(0, np.bool_)
    return FrameBatch(Watched(chunk, grid, fault=fault), pixels, times_s, is_damaged)
