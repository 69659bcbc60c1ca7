"""The documented output of a job: its fields; api/result.py fills them."""

from typing import Literal

from pydantic import BaseModel, JsonValue

from records import UnseenReason
from version import __version__


class VideoInfoOutput(BaseModel):
    """Facts about the video; times in seconds, sizes as displayed."""

    duration: float
    fps: float
    start: float
    num_frames: int
    width: int
    height: int
    rotation: int
    codec: str
    pixel_format: str
    container: str
    bit_rate: int
    variable_frame_rate: bool
    truncated: bool
    missing: float
    """Seconds that a truncated file promises and does not hold, as far as the container tells."""
    size_bytes: int
    other_streams: list[str]
    """The streams of pictures that were not looked at, each in a few words."""


class ChunkOutput(BaseModel):
    """One chunk: without an `error`, it has a `text` or, where the answer is JSON, a `value`."""

    index: int
    start_s: float
    end_s: float
    text: str | None
    value: JsonValue = None
    error: str | None
    finish_reason: str | None
    num_frames: int
    damaged_frames: int
    """How many of num_frames do not show what was to be seen."""
    sample_fps: float
    prompt_tokens: int
    completion_tokens: int
    timings: dict[str, float]


class UnseenOutput(BaseModel):
    """A part of the video that was not seen as it is; the spans are in the order of time and do not overlap."""

    start_s: float
    end_s: float | None
    """Null where a file is cut off and does not say how long it was."""
    reason: UnseenReason


class DecodingOutput(BaseModel):
    """How frames were decoded: from the packets that they `needed`, from `all` packets, or from `keyframes` alone."""

    strategy: Literal["needed", "all", "keyframes"]
    packets: int
    decoded: int
    groups_alone: int
    with_bars: int


class Usage(BaseModel):
    """Tokens of all requests, merging included."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    """How many of prompt_tokens the engine had computed before."""


class QuestionOutput(BaseModel):
    """What was found out about one question."""

    status: Literal["complete", "partial"]
    coverage: float
    """Fraction of what was looked at, 0 to 1, that is in no span of `unseen`."""
    unseen: list[UnseenOutput]
    chunk_results: list[ChunkOutput]
    aggregated_response: JsonValue
    """A text, or what the asked form says."""
    aggregated_by: Literal["chunk", "rule", "model"] | None
    """The answer about a single chunk was taken as it is, or those of all were united by rule or by the model."""
    aggregation_error: str | None
    aggregation_finish_reason: str | None
    """Of the last request of the merge; of the chunk's answer where there was nothing to merge."""
    usage: Usage


class PromptOutput(QuestionOutput):
    """One of several questions, in the order in which they were asked."""

    prompt: str


class CostOutput(BaseModel):
    """What the job took: jobs that run at once share a worker, and each counts its own time."""

    gpu: str | None
    gpu_seconds: float
    usd: float | None
    """Null if the GPU's price is not known."""


class WindowOutput(BaseModel):
    """The part of the video that was looked at."""

    start_s: float
    end_s: float


class PlannedOutput(BaseModel):
    """What every job returns about its video and what was planned for it."""

    success: Literal[True] = True
    worker_version: str = __version__
    video_info: VideoInfoOutput
    window: WindowOutput
    num_chunks: int
    sample_fps: float
    frame_size: tuple[int, int]
    """Width and height, in pixels, of the frames given to the model."""
    concessions: list[str]
    total_processing_time: float
    timings: dict[str, float]
    """They add up to total_processing_time."""


class JobOutput(QuestionOutput, PlannedOutput):
    """What a job returns when at least one chunk was answered.

    After several questions, the answers are in `results`, and the fields of the job are about all of them.
    """

    results: list[PromptOutput] | None
    decoding: DecodingOutput | None
    cost: CostOutput


class EstimateFields(BaseModel):
    """What a job would take."""

    seconds: float | None
    """On a worker that has loaded its model, without the download; null if this one has not done such a job yet."""
    usd: float | None
    gpu: str | None
    frames: int
    prompt_tokens: int
    max_completion_tokens: int


class EstimateOutput(PlannedOutput):
    """What a job returns that asks for an estimate."""

    estimate: EstimateFields
