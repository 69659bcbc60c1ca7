"""What was seen of each chunk, with its pixels and without."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from records.plan import Chunk, SampleGrid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a decoder got the pictures out of a video's packets."""

    strategy: Literal["needed", "all", "keyframes"]
    """Decoded were the pictures that the wanted ones depend on, every picture, or keyframes alone."""
    packets: int = 0
    """Packets read by the strategy `needed`; 0 with the others."""
    decoded: int = 0
    """How many of these were decoded."""
    groups_alone: int = 0
    """GOPs that were decoded in parallel, each by a decoder of its own."""
    with_bars: int = 0
    """Pictures of another shape than the video's first one; bars fill the rest of the frame."""

    def __add__(self, other: Decoding) -> Decoding:
        """Add the counts of a decoder that continued where this one stopped."""
        counts = (self.packets + other.packets, self.decoded + other.decoded, self.groups_alone + other.groups_alone)
        return Decoding(other.strategy, *counts, self.with_bars + other.with_bars)


class UnseenReason(StrEnum):
    """Why a part of the video was not seen."""

    DAMAGED = "damaged"
    """Its pictures are damaged, or are decoded from pictures that are damaged or missing."""
    MISSING = "missing"
    """Its pictures are not in the file any more, or give nothing when they are decoded."""
    NOT_DECODED = "not_decoded"
    """The decoder failed, or found no picture there."""
    NOT_ANSWERED = "not_answered"
    """Its chunk has no answer."""
    TRUNCATED = "truncated"
    """The file ends before it."""


@dataclass(frozen=True, slots=True)
class UnseenSpan:
    """A part of the video, [start_s, end_s), that was not seen as it is."""

    start_s: float
    end_s: float
    reason: UnseenReason

    def then(self, other: UnseenSpan) -> tuple[UnseenSpan, ...]:
        """Join it with the next span if they touch and have one reason."""
        if other.reason == self.reason and other.start_s <= self.end_s:
            return (replace(self, end_s=max(self.end_s, other.end_s)),)
        return (self, other)


def joined(spans: Iterable[UnseenSpan]) -> tuple[UnseenSpan, ...]:
    """Join the spans that touch and have one reason; they are in the order of time."""
    result: tuple[UnseenSpan, ...] = ()
    for span in spans:
        result = (*result[:-1], *result[-1].then(span)) if result else (span,)
    return result


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of one chunk: the facts about its frames, without their pixels."""

    chunk: Chunk
    grid: SampleGrid
    num_frames: int = 0
    damaged_frames: int = 0
    """How many of num_frames do not show what was to be seen."""
    unseen: tuple[UnseenSpan, ...] = ()
    """The parts of the chunk's own span that its frames do not show as they are, in the order of time."""
    seen_until_s: float = 0.0
    """The end of what the frames show; nothing before chunk.start_s counts as seen."""
    decode_s: float = 0.0
    """Wall time until this chunk's frames were complete, counted from the previous chunk's."""
    adjustments: tuple[str, ...] = ()
    """What was given up for this chunk alone, one sentence each."""
    fault: str | None = None
    """Why there are no frames although the chunk was asked for, as `CODE: sentence`."""
    decoding: Decoding | None = None
    """Set on the last chunk that a decoder delivered."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FrameBatch:
    """The frames of one chunk, and what was watched of it.

    pixels is uint8 (T, H, W, 3) RGB in display orientation, times_s float64 (T,) ascending, is_damaged bool (T,).
    Each frame is the picture on screen at its time. The model takes frames 2k and 2k + 1 as a pair.
    """

    watched: Watched
    pixels: npt.NDArray[np.uint8]
    times_s: npt.NDArray[np.float64]
    is_damaged: npt.NDArray[np.bool_]
    """Whether the frame does not show what was to be seen at its time."""

    def __post_init__(self) -> None:
        frames = {len(self.pixels), len(self.times_s), len(self.is_damaged), self.watched.num_frames}
        if len(frames) > 1 or self.pixels.shape[3:] != (3,):
            raise ValueError(f"arrays of {frames} frames, pixels of {self.pixels.shape}")

    @property
    def chunk(self) -> Chunk:
        """The chunk that the frames belong to."""
        return self.watched.chunk

    def halved(self) -> FrameBatch:
        """Return every other pair of the frames, the first pair among them."""
        grid = replace(self.watched.grid, fps=self.watched.grid.fps / 2)
        halved = self.chosen([index for index in range(len(self.times_s)) if index // 2 % 2 == 0])
        return replace(halved, watched=replace(halved.watched, grid=grid))

    def chosen(self, index: slice | Sequence[int] | npt.NDArray[np.bool_]) -> FrameBatch:
        """Return some of the frames, indexed as numpy does."""
        pixels, times_s, is_damaged = self.pixels[index], self.times_s[index], self.is_damaged[index]
        watched = replace(self.watched, num_frames=len(times_s), damaged_frames=int(is_damaged.sum()))
        return FrameBatch(watched, pixels, times_s, is_damaged)

    def __repr__(self) -> str:
        return f"FrameBatch(chunk={self.chunk.index}, shape={self.pixels.shape})"
