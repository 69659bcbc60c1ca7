"""What a job tells while it runs and at its end, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from records.answer import Answer, Conclusion, Question
from records.plan import VideoPlan
from records.video import VideoInfo
from records.watched import Watched


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
