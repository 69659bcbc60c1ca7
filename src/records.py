"""Frozen data passed between the stages. Times are seconds of the source video, spans half-open."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


SamplingMode = Literal["uniform", "keyframes", "adaptive"]
"""Which pictures a chunk is looked at by: those on screen at all instants; keyframes alone, which are decoded fastest;
or those at the instants around which the picture changes."""


@dataclass(frozen=True, slots=True)
class LocalVideo:
    """A source that lies on the local disk."""

    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What the packets of the first moving-picture stream say of a file."""

    start_s: float
    """When the first picture appears on the container's clock, which starts at 0."""
    duration_s: float
    """From the first picture to the end of the last one."""
    fps: Fraction
    """Mean rate over the whole stream; a variable frame rate has no other single number."""
    num_frames: int
    """Pictures shown, counted in the packets; a damaged file decodes to fewer."""
    width_px: int
    """As displayed: after rotation and pixel aspect ratio."""
    height_px: int
    rotation_deg: Literal[0, 90, 180, 270]
    """Clockwise turn that the display applies to the coded pictures."""
    codec: str
    pixel_format: str
    container: str
    """The demuxer's names, as ffmpeg gives them: `mov,mp4,m4a,3gp,3g2,mj2`."""
    bit_rate_bps: int
    variable_frame_rate: bool
    truncated: bool
    """The file ends too early."""
    missing_s: float
    """Seconds that it promises behind its last picture; 0 also where nobody knows."""
    size_bytes: int
    stream_index: int
    first_pts: int
    """Presentation time of the first picture in ticks of time_base_s: the exact form of start_s."""
    time_base_s: Fraction
    seekable: bool
    """A place in the file can be decoded without what is before it: its packets tell their times, by one clock, and
    are decoded in one way all along."""

    @property
    def end_s(self) -> float:
        """When the last picture disappears."""
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of the video: it answers for [start_s, end_s) and sees on to seen_end_s."""

    index: int
    start_s: float
    end_s: float
    seen_end_s: float

    def __post_init__(self) -> None:
        if not 0 <= self.start_s < self.end_s <= self.seen_end_s < math.inf:
            raise ValueError(f"no span: {self}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the whole video is looked at: one rate and one frame size for all chunks."""

    origin_s: float
    """Sampling instants are origin_s + k / fps, the same grid for every chunk."""
    fps: Fraction
    height_px: int
    """A multiple of 32, as width_px is."""
    width_px: int

    def first_index(self, at_s: float) -> int:
        """The index k of the first instant at or after `at_s`, which counts in whole microseconds.

        Sums of decimal seconds in floats miss the grid by 1e-14; the rounding puts them back on it.
        """
        return math.ceil(Fraction(round((at_s - self.origin_s) * 1e6), 1_000_000) * self.fps)

    def indices(self, chunk: Chunk) -> range:
        """The indices k of the instants that a chunk sees."""
        return range(self.first_index(chunk.start_s), self.first_index(chunk.seen_end_s))

    def instant_s(self, index: int) -> float:
        """Instant k in seconds of the source video."""
        return self.origin_s + float(index / self.fps)


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """Every decision about a video, made before the first frame is decoded."""

    chunks: tuple[Chunk, ...]
    sampling: Sampling
    concessions: tuple[str, ...]
    """What was given up to fit the budgets, a sentence each; empty when nothing was."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How a video's pictures were got out of its packets."""

    strategy: Literal["needed", "all", "keyframes"]
    """What was decoded: what the wanted pictures are decoded from, everything, or intra pictures."""
    packets: int = 0
    """Read where that was chosen from; 0 with the other strategies."""
    decoded: int = 0
    """Of these."""
    groups_alone: int = 0
    """Groups of pictures that were decoded side by side."""

    def __add__(self, other: Decoding) -> Decoding:
        """Of two decoders, one behind the other."""
        counts = (self.packets + other.packets, self.decoded + other.decoded, self.groups_alone + other.groups_alone)
        return Decoding(other.strategy, *counts)


@dataclass(frozen=True, slots=True, eq=False)
class FrameBatch:
    """Frames of one chunk: pixels uint8 (T, H, W, 3) RGB in display orientation, times_s float64 (T,) ascending.

    Each frame is the picture on screen at its time. Two frames in a row, from the first on, are a pair to the model.
    is_damaged is bool (T,): the decoder made up a part of the frame.
    """

    chunk: Chunk
    pixels: npt.NDArray[np.uint8]
    times_s: npt.NDArray[np.float64]
    is_damaged: npt.NDArray[np.bool_]
    sample_fps: Fraction
    seen_until_s: float
    """The end of what the frames show; chunk.start_s when there are none."""
    decode_s: float
    """Wall time until this chunk's frames were complete, counted from the previous chunk's."""
    fault: str | None = None
    """Why there are no frames, if the decoder failed, as `CODE: sentence`."""
    decoding: Decoding | None = None
    """Of the decoder that came to its end with this batch."""

    def __post_init__(self) -> None:
        shapes = self.pixels.shape[:1], self.times_s.shape, self.is_damaged.shape
        if len(set(shapes)) > 1 or self.pixels.shape[3:] != (3,):
            raise ValueError(f"arrays of {shapes} frames, pixels of {self.pixels.shape}")

    def halved(self) -> FrameBatch:
        """Every other pair of its frames, the first pair among them."""
        halved = self.chosen([index for index in range(len(self.times_s)) if index // 2 % 2 == 0])
        return replace(halved, sample_fps=self.sample_fps / 2)

    def chosen(self, index: slice | Sequence[int] | npt.NDArray[np.bool_]) -> FrameBatch:
        """Some of its frames, as numpy chooses."""
        arrays = {name: getattr(self, name)[index] for name in ("pixels", "times_s", "is_damaged")}
        return replace(self, **arrays)

    def __repr__(self) -> str:
        return f"FrameBatch(chunk={self.chunk.index}, shape={self.pixels.shape})"


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How the engine samples the tokens of one answer."""

    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None


@dataclass(frozen=True, slots=True)
class Generation:
    """One finished request of the engine."""

    text: str
    finish_reason: str
    """`stop` at a natural end, `length` when max_tokens or the context cut it."""
    prompt_tokens: int
    completion_tokens: int
    render_s: float
    """From submission to the request in the engine: tokenising and preprocessing."""
    generate_s: float
    """From the request in the engine to its last token."""


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """The answer on one chunk, or the reason why there is none."""

    chunk: Chunk
    num_frames: int
    sample_fps: float
    decode_s: float
    seen_until_s: float
    """The end of what the delivered frames show; start_s of the chunk when there are none."""
    generation: Generation | None = None
    error: str | None = None
    damaged_frames: int = 0
    """Of num_frames, those of which the decoder had to make up a part."""
    decoding: Decoding | None = None
    """Of the decoder that came to its end with these frames."""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """The merged answer and the requests it took."""

    text: str
    generations: tuple[Generation, ...]


@dataclass(frozen=True, slots=True)
class JobResult:
    """Everything a job answers."""

    info: VideoInfo
    plan: VideoPlan
    chunks: tuple[ChunkResult, ...]
    synthesis: Synthesis | None
    synthesis_error: str | None
    timings_s: Mapping[str, float]
    """Wall seconds by stage; decoding and inference overlap, so they do not add up to the total."""
    total_s: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, as the platform shows it while the job runs."""

    stage: Literal["download", "validate", "chunks", "synthesis"]
    fraction: float
    """0 to 1 over the whole job, never falling."""
    chunks_done: int
    num_chunks: int
    message: str
