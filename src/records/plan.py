"""What is looked at: chunks, instants, the size of frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

FrameSelection = Literal["uniform", "keyframes", "adaptive"]
"""Which pictures of a chunk the model sees: the one on screen at every instant of the grid; keyframes alone, which
decode fastest; or those at the instants around which the picture changes."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the video: it answers for [start_s, end_s) and sees frames up to seen_end_s."""

    index: int
    start_s: float
    end_s: float
    seen_end_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.end_s <= self.seen_end_s < math.inf:
            raise ValueError(f"no span: {self}")


@dataclass(frozen=True, slots=True)
class SampleGrid:
    """The instants at which the whole video is sampled, and the size of the frames taken there."""

    origin_s: float
    """Instant k is origin_s + k / fps, the same grid for every chunk."""
    fps: Fraction
    height_px: int
    """A multiple of 32, as width_px is."""
    width_px: int

    def first_index(self, at_s: float) -> int:
        """Return the index k of the first instant at or after `at_s`, which is rounded to whole microseconds.

        Sums of decimal seconds in floats miss the grid by 1e-14; the rounding puts them back on it.
        """
        return math.ceil(Fraction(round((at_s - self.origin_s) * 1e6), 1_000_000) * self.fps)

    def indices(self, chunk: Chunk) -> range:
        """Return the indices k of the instants that a chunk sees."""
        return range(self.first_index(chunk.start_s), self.first_index(chunk.seen_end_s))

    def instant_s(self, index: int) -> float:
        """Return instant k in seconds of the source video."""
        return self.origin_s + float(index / self.fps)


@dataclass(frozen=True, slots=True)
class PromptRoom:
    """What the model's context leaves for the frames of one chunk."""

    tokens: int
    """Besides instructions, question and answer."""
    pair_text_tokens: int
    """What a pair of frames takes besides its vision tokens, at most."""


Resolution = Literal["low", "medium", "high"]
"""How large frames are: as small as is of use, as large as the sampling rate leaves room for, or as large as is of use
even if the rate has to fall."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the video, [start_s, end_s)."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of a video is looked at, and how closely."""

    start_s: float = 0.0
    end_s: float = math.inf
    max_frames: int | None = None
    """The most frames of all chunks together."""
    resolution: Resolution = "medium"
    selection: FrameSelection = "uniform"


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """Every decision about a video, made before the first frame is decoded."""

    window: Window
    """What is looked at: all of the video, or a part of it."""
    chunks: tuple[Chunk, ...]
    """They partition the window."""
    grid: SampleGrid
    selection: FrameSelection
    adjustments: tuple[str, ...]
    """What was given up to fit the budgets, one sentence each; empty when nothing was."""
    wanted_end_s: float = math.inf
    """Where the part ends that was asked for; the video may end before it."""
