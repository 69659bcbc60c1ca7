"""Frozen data passed between the stages. Times are seconds of the source video, spans half-open."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from byte_ranges import ByteRange

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


FrameSelection = Literal["uniform", "keyframes", "adaptive"]
"""Which pictures of a chunk the model sees: the one on screen at every instant of the grid; keyframes alone, which
decode fastest; or those at the instants around which the picture changes."""

Notice = Literal["unknown_colours", "dolby_vision"]
"""What about the pictures themselves was assumed or changed; planning.NOTICES says it in words."""


@dataclass(frozen=True, slots=True)
class LocalVideo:
    """A source on the local disk."""

    path: Path
    size_bytes: int
    present: tuple[ByteRange, ...] = ()
    """What of it was fetched, ascending; empty if that is all. The rest reads as zeros."""


@dataclass(frozen=True, slots=True)
class OtherStream:
    """A stream of pictures that is not the film."""

    index: int
    codec: str
    width_px: int
    height_px: int
    num_frames: int


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the film: one stream of a file, or of a file inside it, as long as it is that stream's turn."""

    start_byte: int
    """Where the file inside the file begins; 0 where it is all of it."""
    stop_byte: int
    stream: int
    """Its index."""
    first_byte: int
    """The packets that begin at or after this position count, as seen from start_byte."""
    end_byte: int
    """And those that begin before this one."""
    has_late_streams: bool
    """Some stream of the file appears only after the demuxer has opened it."""

    @property
    def size_bytes(self) -> int:
        """Of the file inside the file."""
        return self.stop_byte - self.start_byte


Timing = Literal["pts", "sparse_pts", "dts"]
"""How packets tell when their pictures are shown: each by its PTS, only some of them by a PTS, or by their DTS, which
are the pictures' times once they are sorted."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of the film, [start_pts, stop_pts), that shows a stretch of its stream. All in ticks of the stream."""

    start_pts: int
    stop_pts: int
    media_pts: int
    """The time in the stream that is on screen at start_pts."""
    media_stop_pts: int
    """And at stop_pts. It is media_pts where one picture stands still."""

    @property
    def is_still(self) -> bool:
        """One picture is on screen all the time."""
        return self.media_stop_pts == self.media_pts

    @property
    def rate(self) -> Fraction:
        """How fast the stream passes; 0 for a still."""
        return Fraction(self.media_stop_pts - self.media_pts, self.stop_pts - self.start_pts)

    def shown_pts(self, media_pts: int) -> int:
        """When a picture of the stream appears in the film; one that is on screen before the edit, at its start."""
        if self.is_still or media_pts <= self.media_pts:
            return self.start_pts
        since = media_pts - self.media_pts
        # At another speed than the stream's times are rounded, at most a tick down: a picture is never too late for an
        # instant that it is decoded for.
        return self.start_pts + (since if self.rate == 1 else math.floor((since - 1) / self.rate))


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Facts about a file, from the packets of the stream, or the streams, that hold the film."""

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
    """Seconds that the container promises after its last picture; 0 also where that is unknown."""
    size_bytes: int
    stream_index: int
    first_pts: int
    """Presentation time of the first picture in ticks of time_base_s: the exact form of start_s."""
    time_base_s: Fraction
    seekable: bool
    """Decoding can start in the middle: every packet has a time, all on one clock, and one configuration decodes them
    all."""
    timing: Timing = "pts"
    last_pts: int = 0
    """When the last picture appears, in ticks of time_base_s. It may stay for long: see duration_s."""
    parts: tuple[Part, ...] = ()
    """What the film is read from, in order, where that is not one stream that a demuxer finds as it opens the file."""
    unread_parts: int = 0
    """Files inside the file of which nothing can be shown. What they lack is in missing_s."""
    other_streams: tuple[OtherStream, ...] = ()
    sound_after_s: float = 0.0
    """For how long sound goes on after the end that the container gives for the last picture."""
    edits: tuple[Edit, ...] = ()
    """What the film shows of its stream, in order, where libav does not read that rightly; the times above are those of
    the film. Nothing is shown between two edits."""
    notices: tuple[Notice, ...] = ()
    pixel_aspect: Fraction = Fraction(1)
    """Width of a coded pixel, divided by its height."""
    present: tuple[ByteRange, ...] = ()
    """See LocalVideo: what may be read of the file."""

    @property
    def is_joined(self) -> bool:
        """The film goes on in another stream, or in another file inside the file."""
        return len(self.parts) > 1

    @property
    def end_s(self) -> float:
        """When the last picture disappears."""
        return self.start_s + self.duration_s


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


@dataclass(frozen=True, slots=True)
class Message:
    """One user turn after a system text. The engine puts the frames or images before `user`."""

    system: str
    user: str


Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
Schema = dict[str, Any]
"""A JSON Schema, draft 2020-12, that is an object; `true` and `false` are none here."""


@dataclass(frozen=True, slots=True, eq=False)
class AnswerSchema:
    """What an answer must be as JSON."""

    for_engine: Schema
    """What the engine is held to; it allows a part of what the meaning does."""
    meaning: Schema
    """By which answers are judged."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How the engine samples the tokens of one answer."""

    max_tokens: int
    temperature: float
    """0 is greedy decoding."""
    top_p: float
    seed: int | None
    top_k: int = 20
    """0 for no limit."""
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    """Texts before which the answer ends."""
    schema: Schema | None = None
    """What the answer must be as JSON; None for free text."""

    def roomier(self) -> GenerationOptions:
        """Return the same options with room for an answer of four times the length."""
        return replace(self, max_tokens=4 * self.max_tokens)


class TokenProbability(NamedTuple):
    """How sure the model was of one token."""

    end: int
    """Where the token ends in the text, in characters."""
    log_probability: float


@dataclass(frozen=True, slots=True)
class Generation:
    """One finished request of the engine."""

    text: str
    finish_reason: Literal["stop", "length", "repetition"]
    """`stop` at a natural end, `length` when max_tokens or the context cut it, `repetition` when it ran in a loop."""
    prompt_tokens: int
    completion_tokens: int
    render_s: float
    """From submission to the request in the engine: tokenising and preprocessing."""
    generate_s: float
    """From the request in the engine to its last token."""
    cached_tokens: int = 0
    """How many of the prompt's tokens the engine had computed before."""
    log_probabilities: tuple[TokenProbability, ...] = ()
    """Of the tokens of the text, in order, where a schema held it."""

    @property
    def is_cut(self) -> bool:
        """Whether the text ends before the model had finished."""
        return self.finish_reason != "stop"


@dataclass(frozen=True, slots=True)
class Question:
    """One question about the whole video."""

    index: int
    text: str
    form: str = "text"
    """The name of the form of its answers; see answers.forms."""
    system: str | None = None
    """What the model is told to be; None for the worker's own text."""
    schema: AnswerSchema | None = None
    """The caller's form of the answer, with form `schema`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model answered to one question about one chunk, or why there is no answer."""

    watched: Watched
    """The frames that the model was shown; fewer than were decoded if the answer took a second try."""
    question: int
    """The question's index."""
    form: str
    """The question's form of answer."""
    value: Json = None
    """A text, or what the form says."""
    error: str | None = None
    """Why there is no value, as `CODE: sentence`."""
    generations: tuple[Generation, ...] = ()
    """The finished requests that the answer took."""
    discarded: tuple[Generation, ...] = ()
    """Finished requests before them whose text was not of the asked form."""
    left_out: int = 0
    """How many things the model told that cannot be: they end before they begin."""
    is_full: bool = False
    """The value is or holds a list as long as lists may be: the model may have had more to tell."""

    @classmethod
    def missing(cls, watched: Watched, question: Question, error: str) -> Self:
        """Return what stands in place of the answer about a chunk that was not answered."""
        return cls(watched, question.index, question.form, error=error)

    @property
    def chunk(self) -> Chunk:
        """The chunk that was asked about."""
        return self.watched.chunk

    @property
    def is_answered(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    @property
    def is_cut(self) -> bool:
        """Whether the value ends before the model had finished."""
        return any(generation.is_cut for generation in self.generations)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The answer to one question about the whole video, merged from the chunks', or why there is none."""

    question: int
    value: Json = None
    """A text, or what the question's form says."""
    error: str | None = None
    """Why the answers were not merged, as `CODE: sentence`."""
    generations: tuple[Generation, ...] = ()
    discarded: tuple[Generation, ...] = ()
    """Finished requests before them that led to no answer of the asked form."""

    @property
    def is_cut(self) -> bool:
        """Whether the model was cut off in any round of the merge: what it would have gone on to say is missing."""
        return any(generation.is_cut for generation in self.generations)


class Stage(StrEnum):
    """The stages of a job, in order."""

    begins_at: float
    """The fraction of the whole job, 0 to 1, that is usually over when the stage begins."""

    DOWNLOAD = "download", 0.0
    VALIDATE = "validate", 0.10
    LOAD = "load", 0.12
    PLAN = "plan", 0.12
    CHUNKS = "chunks", 0.12
    SYNTHESIS = "synthesis", 0.95

    def __new__(cls, name: str, begins_at: float) -> Self:
        """Make a member whose string value is its name in the API."""
        stage = str.__new__(cls, name)
        stage._value_ = name
        stage.begins_at = begins_at
        return stage


@dataclass(frozen=True, slots=True)
class Planned:
    """The video was read and every decision about it is made."""

    info: VideoInfo
    plan: VideoPlan
    questions: tuple[Question, ...]
    """What will be asked about every chunk."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of the machine that a worker runs on."""

    gpu: str | None
    """As its driver calls it; None if there is none."""
    usd_per_second: float | None
    """None if it is not known."""

    def of(self, seconds: float) -> float | None:
        """Return what some seconds cost."""
        return None if self.usd_per_second is None else seconds * self.usd_per_second


@dataclass(frozen=True, slots=True)
class JobResult:
    """Everything that a job found out."""

    info: VideoInfo
    plan: VideoPlan
    questions: tuple[Question, ...]
    watched: tuple[Watched, ...]
    """One for every chunk of the plan, in order."""
    answers: tuple[Answer, ...]
    """One for every chunk and question, in order of the chunks and then of the questions."""
    conclusions: tuple[Conclusion, ...]
    """One for every question, in order; empty when no merged answer was asked for."""
    timings_s: Mapping[Stage, float]
    """Wall seconds by stage; decoding and inference overlap within `chunks`."""
    total_s: float
    price: Price = Price(None, None)
    is_list: bool = False
    """The questions were given as a list, perhaps of one."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job will take."""

    num_frames: int
    """Of all chunks together."""
    prompt_tokens: int
    """Of all requests about chunks."""
    max_completion_tokens: int
    seconds: float | None
    """Without the download; None if this worker has not done such a job yet."""
    usd: float | None
    """None also if the price of its GPU is not known."""
    gpu: str | None


@dataclass(frozen=True, slots=True)
class EstimateResult:
    """All that was asked for is what the job would take."""

    info: VideoInfo
    plan: VideoPlan
    estimate: Estimate
    timings_s: Mapping[Stage, float]
    total_s: float


JobEvent = Stage | Planned | Watched | Answer | Conclusion | JobResult | EstimateResult
"""What a running job tells, in this order: each stage as it begins, the plan, chunks as they are decoded and answered
(answers in any order), conclusions, and the result as the last event. An estimate comes in place
of the plan, and is the last event."""
