"""Turns the decoder's pictures into the frames of chunks."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from frames.pictures import PictureQueue, QueuedPicture
from frames.selection import SELECTORS
from records import (
    Chunk,
    Decoding,
    FrameBatch,
    FrameSelection,
    SampleGrid,
    UnseenReason,
    UnseenSpan,
    Watched,
    joined,
)

log = logging.getLogger(__name__)

SHORTEST_SPAN_S = 1e-6
"""A shorter one comes from sums of floats."""


class FrameBuffer:
    """Room for the frames of one chunk, filled in the order of time.

    Args:
        capacity: the most frames that may be added.
        grid: gives the frames' size.
    """

    def __init__(self, capacity: int, grid: SampleGrid) -> None:
        self._pixels = np.empty((capacity, grid.height_px, grid.width_px, 3), np.uint8)
        self._times_s = np.empty(capacity, np.float64)
        self._is_damaged = np.empty(capacity, np.bool_)
        self.num_frames = 0

    def next_pixels(self) -> npt.NDArray[np.uint8]:
        """Return the place for the pixels of the next frame, uint8 (H, W, 3)."""
        pixels: npt.NDArray[np.uint8] = self._pixels[self.num_frames]
        return pixels

    def spare_pixels(self) -> npt.NDArray[np.uint8]:
        """Return a place of the same shape that belongs to no frame."""
        return np.empty_like(self._pixels, shape=self._pixels.shape[1:])

    def add(self, times_s: list[float], *, is_damaged: bool) -> None:
        """Add a frame for each time; all show what stands in next_pixels."""
        first, stop = self.num_frames, self.num_frames + len(times_s)
        self._pixels[first + 1 : stop] = self._pixels[first : first + 1]
        self._times_s[first:stop] = times_s
        self._is_damaged[first:stop] = is_damaged
        self.num_frames = stop

    def batch(self, watched: Watched) -> FrameBatch:
        """Return the frames that were added; they share the memory of this buffer."""
        added = slice(self.num_frames)
        pixels, times_s, is_damaged = self._pixels[added], self._times_s[added], self._is_damaged[added]
        watched = replace(watched, num_frames=self.num_frames, damaged_frames=int(is_damaged.sum()))
        return FrameBatch(watched, pixels, times_s, is_damaged)


class ShownSpans:
    """Adds up what pictures show of a chunk, in the order of time; the rest of it is unseen."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._until_s = chunk.start_s
        self._unseen: list[UnseenSpan] = []

    def add(self, start_s: float, end_s: float, unseen: UnseenReason | None) -> None:
        """A picture is on screen for a time; `unseen` says why it is not what was to be seen."""
        self._add_unseen(self._until_s, start_s, UnseenReason.NOT_DECODED)
        if unseen is not None:
            self._add_unseen(max(start_s, self._until_s), end_s, unseen)
        self._until_s = max(self._until_s, end_s)

    def unseen(self) -> tuple[UnseenSpan, ...]:
        """What was not shown of the chunk's own span."""
        self._add_unseen(self._until_s, self._chunk.end_s, UnseenReason.NOT_DECODED)
        self._until_s = self._chunk.end_s
        return joined(self._unseen)

    def _add_unseen(self, start_s: float, end_s: float, reason: UnseenReason) -> None:
        end_s = min(end_s, self._chunk.end_s)
        if end_s - start_s > SHORTEST_SPAN_S:
            self._unseen.append(UnseenSpan(start_s, end_s, reason))


class BatchAssembler:
    """Makes the batches of the chunks that one decoder delivers; keeps the pictures that the next chunk sees again.

    Args:
        read_into: fills a buffer with the decoder's next bytes, blocking; False at the end of the output.
        grid: the plan's.
        selection: see FrameExtractor.stream_frames.
    """

    def __init__(self, read_into: Callable[[memoryview], bool], grid: SampleGrid, selection: FrameSelection) -> None:
        self._queue = PictureQueue(read_into, grid.origin_s)
        self._grid = grid
        self._selector = SELECTORS[selection]
        self._is_reported = False

    def batch(self, chunk: Chunk, following: Chunk | None) -> FrameBatch:
        """Read until the chunk is complete; blocks while the decoder works.

        Args:
            chunk: a later one than in the call before.
            following: the chunk of the next call, if there is one.

        Raises:
            MediaError: the decoder failed, or its output is not what the protocol says.
        """
        started_s = time.monotonic()
        wanted = self._grid.indices(chunk)
        shared_from = self._grid.indices(following).start if following else math.inf
        frames = FrameBuffer(len(wanted) * self._selector.frames_per_instant, self._grid)
        shared: list[QueuedPicture] = []
        shown = ShownSpans(chunk)
        seen_until_s = chunk.start_s
        while picture := self._queue.take_before(wanted.stop):
            visible = range(max(picture.first, wanted.start), min(picture.stop, wanted.stop))
            times_s = self._selector.frame_times_s(picture, visible, self._grid)
            pixels = frames.next_pixels() if times_s else frames.spare_pixels()
            self._queue.read_pixels(picture, pixels)
            frames.add(times_s, is_damaged=picture.unseen is not None)
            start_s = chunk.start_s if visible.start == wanted.start else self._grid.instant_s(visible.start)
            shown.add(start_s, self._grid.instant_s(visible.stop), picture.unseen)
            if frames.num_frames:
                seen_until_s = self._grid.instant_s(visible.stop)
            if picture.stop > shared_from:
                shared.append(replace(picture, pixels=pixels.copy()))
        self._queue.put_back(shared)
        decode_s = time.monotonic() - started_s
        unseen = shown.unseen() if frames.num_frames else ShownSpans(chunk).unseen()
        watched = Watched(
            chunk, self._grid, unseen=unseen, seen_until_s=seen_until_s, decode_s=decode_s, decoding=self._decoding()
        )
        return self._selector.drop_frames(frames.batch(watched))

    def _decoding(self) -> Decoding | None:
        """How the decoder worked; reported once, with the chunk at which it ended."""
        stats = self._queue.stats
        if stats is None or self._is_reported:
            return None
        self._is_reported = True
        if stats.packets_read:
            decoding = Decoding("needed", stats.packets_read, stats.packets_decoded, stats.closed_gops, stats.with_bars)
        else:
            strategy: Literal["keyframes", "all"] = "keyframes" if self._selector.keyframes_only else "all"
            decoding = Decoding(strategy, with_bars=stats.with_bars)
        log.info("decoded: %s", decoding)
        return decoding
