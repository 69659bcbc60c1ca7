"""What a job takes: seconds, from what earlier jobs of this worker took, and dollars, from its GPU's price."""

import math
import statistics
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from errors import OverBudget
from records import Estimate, JobResult, Price, Stage, VideoInfo, VideoPlan
from vision import BRACKETS, FRAMES_PER_PAIR, MIN_FRAMES, video_tokens

JOBS_REMEMBERED = 20
STAMP_TOKENS = 7
"""What `<12.5 seconds>` takes besides its digits, each of which is a token of Qwen's."""
PROMPT_TOKENS = 160
"""Of a chunk's prompt besides its frames and the question."""
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Work:
    """What a job has to do."""

    packets: int
    """Pictures of the file, all of which are read."""
    new_tokens: int
    """Of all prompts about chunks, without those that the engine has computed before."""
    answers: int
    """Chunks times questions, if they are merged; otherwise 0."""


class Speed:
    """How long each stage of this worker's last jobs took for how much work; unknown before the first one."""

    def __init__(self) -> None:
        self.tokens_ratio = 1.0
        """Tokens that the last job's prompts had, divided by those that are counted without its tokenizer."""
        self._jobs = defaultdict[Stage, deque[tuple[float, float]]](lambda: deque(maxlen=JOBS_REMEMBERED))
        """By stage: units of work, and seconds."""

    def learn(self, result: JobResult, expected: Estimate) -> None:
        """Take note of a job that has ended, and of what was expected of it."""
        used = [one for answer in result.answers for one in (*answer.discarded, *answer.generations)]
        new_tokens = sum(one.prompt_tokens - one.cached_tokens for one in used)
        work = Work(result.info.num_frames, new_tokens, len(result.answers))
        has_all_frames = sum(watched.num_frames for watched in result.watched) == expected.num_frames
        if has_all_frames and all(answer.is_answered and not answer.discarded for answer in result.answers):
            self.tokens_ratio *= sum(one.prompt_tokens for one in used) / expected.prompt_tokens
        for stage, units in _units(work).items():
            if units and (took_s := result.timings_s.get(stage)) is not None:
                self._jobs[stage].append((units, took_s))

    def predict_s(self, work: Work) -> float | None:
        """Return how long the work will take, the download left out; None if some part of it was never done."""
        units = {stage: amount for stage, amount in _units(work).items() if amount}
        if not all(self._jobs.get(stage) for stage in units):
            return None
        return sum(_on_line(self._jobs[stage], amount) for stage, amount in units.items())


def _on_line(points: Sequence[tuple[float, float]], at: float) -> float:
    """The seconds at so many units on the line that fits some points best, and that neither begins below 0 nor falls.

    Points of one size tell no line: then seconds are in proportion.
    """
    mean_units, mean_s = (statistics.fmean(column) for column in zip(*points, strict=True))
    spread = sum((units - mean_units) ** 2 for units, _ in points)
    if not spread:
        return mean_s * at / mean_units
    slope = sum((units - mean_units) * (seconds - mean_s) for units, seconds in points) / spread
    slope = min(max(slope, 0.0), mean_s / mean_units)
    return mean_s + slope * (at - mean_units)


def _units(work: Work) -> Mapping[Stage, int]:
    return {Stage.VALIDATE: work.packets, Stage.CHUNKS: work.new_tokens, Stage.SYNTHESIS: work.answers}


def price_of(gpu: str | None, prices: Mapping[str, float]) -> Price:
    """Return what a second of a GPU costs.

    Args:
        gpu: as its driver calls it, `NVIDIA GeForce RTX 4090`.
        prices: by names whose words are all in that one; of several the longest counts.
    """
    words = set((gpu or "").replace("-", " ").split())
    fitting = [name for name in prices if set(name.split()) <= words]
    return Price(gpu, prices[max(fitting, key=len)] if fitting else None)


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides how many tokens the questions of a job take."""

    questions: int
    characters: int
    """Of all of them."""
    max_tokens: int
    are_merged: bool


def estimate(info: VideoInfo, plan: VideoPlan, asked: Asked, speed: Speed, price: Price) -> Estimate:
    """Return what a planned job will take."""
    frames = [len(plan.grid.indices(chunk)) for chunk in plan.chunks]
    frame_tokens = [
        video_tokens(count, plan.grid.height_px, plan.grid.width_px)
        + math.ceil(count / FRAMES_PER_PAIR) * (STAMP_TOKENS + len(f"{chunk.end_s:.1f}") - 1 + BRACKETS)
        for count, chunk in zip(frames, plan.chunks, strict=True)
    ]
    text_tokens = PROMPT_TOKENS + asked.characters // asked.questions // CHARACTERS_PER_TOKEN
    prompts = len(plan.chunks) * asked.questions
    new_tokens = round((sum(frame_tokens) + prompts * text_tokens) * speed.tokens_ratio)
    prompt_tokens = round((asked.questions * sum(frame_tokens) + prompts * text_tokens) * speed.tokens_ratio)
    seconds = speed.predict_s(Work(info.num_frames, new_tokens, prompts if asked.are_merged else 0))
    return Estimate(
        num_frames=sum(frames),
        prompt_tokens=prompt_tokens,
        max_completion_tokens=asked.max_tokens * (prompts + asked.questions * asked.are_merged),
        seconds=seconds,
        usd=None if seconds is None else price.of(seconds),
        gpu=price.gpu,
    )


def plan_within(
    limit_s: float, plan_with: Callable[[int | None], VideoPlan], estimated: Callable[[VideoPlan], Estimate]
) -> VideoPlan:
    """Return the plan with the most frames that is expected to take no longer than a limit.

    Args:
        limit_s: for all that is still to be done.
        plan_with: makes a plan of at most so many frames.
        estimated: what a plan will take.

    Raises:
        OverBudget: the fewest frames take longer.
    """
    whole = plan_with(None)
    wanted = estimated(whole)
    if wanted.seconds is None or wanted.seconds <= limit_s:
        return whole
    fewest, most = MIN_FRAMES, max(MIN_FRAMES, wanted.num_frames)
    least = estimated(plan_with(fewest)).seconds or 0.0
    if least > limit_s:
        cost = "" if wanted.usd is None else f" and ${wanted.usd:.4f}"
        raise OverBudget(
            f"The job would take about {wanted.seconds:.0f} s{cost}, and {least:.0f} s with as few frames as possible; "
            f"{max(0.0, limit_s):.0f} s are left of what it may take."
        )
    while fewest + 1 < most:
        middle = (fewest + most) // 2
        fits = (estimated(plan_with(middle)).seconds or 0.0) <= limit_s
        fewest, most = (middle, most) if fits else (fewest, middle)
    return plan_with(fewest)
