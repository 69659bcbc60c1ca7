"""The documented output of a job, made from its result."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from itertools import groupby
from typing import Literal, cast

from pydantic import BaseModel, JsonValue

from records import (
    Answer,
    Conclusion,
    Decoding,
    EstimateResult,
    JobResult,
    Question,
    UnseenReason,
    UnseenSpan,
    VideoInfo,
    VideoPlan,
    Window,
    joined,
)
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


class JobOutput(QuestionOutput):
    """What a job returns when at least one chunk was answered.

    After several questions, the answers are in `results`, and the fields of the job are about all of them.
    """

    success: Literal[True] = True
    worker_version: str = __version__
    video_info: VideoInfoOutput
    window: WindowOutput
    num_chunks: int
    results: list[PromptOutput] | None
    total_processing_time: float
    sample_fps: float
    frame_size: tuple[int, int]
    """Width and height, in pixels, of the frames given to the model."""
    concessions: list[str]
    decoding: DecodingOutput | None
    timings: dict[str, float]
    """They add up to total_processing_time."""
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


class EstimateOutput(BaseModel):
    """What a job returns that asks for an estimate."""

    success: Literal[True] = True
    worker_version: str = __version__
    estimate: EstimateFields
    video_info: VideoInfoOutput
    window: WindowOutput
    num_chunks: int
    sample_fps: float
    frame_size: tuple[int, int]
    concessions: list[str]
    total_processing_time: float
    timings: dict[str, float]


def job_output(result: JobResult) -> JobOutput:
    """Arrange a result as documented; seconds are rounded to milliseconds."""
    info, plan = result.info, result.plan
    results = [_prompt_output(result, question) for question in result.questions]
    job = _about_all(result, results) if result.is_list else results[0]
    return JobOutput(
        **{name: getattr(job, name) for name in QuestionOutput.model_fields},
        results=results if result.is_list else None,
        video_info=_video_info_output(info),
        window=_window_output(plan.window),
        num_chunks=len(plan.chunks),
        total_processing_time=round(result.total_s, 3),
        sample_fps=round(float(plan.grid.fps), 3),
        frame_size=(plan.grid.width_px, plan.grid.height_px),
        concessions=_concessions(result),
        decoding=_decoding_output([watched.decoding for watched in result.watched if watched.decoding]),
        timings=_timings(result),
        cost=CostOutput(
            gpu=result.price.gpu,
            gpu_seconds=round(result.total_s, 3),
            usd=_rounded_usd(result.price.of(result.total_s)),
        ),
    )


def estimate_output(result: EstimateResult) -> EstimateOutput:
    """Arrange an estimate as documented."""
    plan, estimate = result.plan, result.estimate
    return EstimateOutput(
        estimate=EstimateFields(
            seconds=None if estimate.seconds is None else round(estimate.seconds, 3),
            usd=_rounded_usd(estimate.usd),
            gpu=estimate.gpu,
            frames=estimate.num_frames,
            prompt_tokens=estimate.prompt_tokens,
            max_completion_tokens=estimate.max_completion_tokens,
        ),
        video_info=_video_info_output(result.info),
        window=_window_output(plan.window),
        num_chunks=len(plan.chunks),
        sample_fps=round(float(plan.grid.fps), 3),
        frame_size=(plan.grid.width_px, plan.grid.height_px),
        concessions=[*_not_in_the_film(result.info), *plan.adjustments],
        total_processing_time=round(result.total_s, 3),
        timings=_timings(result),
    )


def _timings(result: JobResult | EstimateResult) -> dict[str, float]:
    """Seconds by stage, and what none of them took."""
    stages = {f"{stage}_s": round(seconds, 3) for stage, seconds in result.timings_s.items()}
    return stages | {"other_s": round(max(0.0, round(result.total_s, 3) - sum(stages.values())), 3)}


def _rounded_usd(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 6)


def _window_output(window: Window) -> WindowOutput:
    return WindowOutput(start_s=round(window.start_s, 3), end_s=round(window.end_s, 3))


def _video_info_output(info: VideoInfo) -> VideoInfoOutput:
    return VideoInfoOutput(
        duration=round(info.duration_s, 3),
        fps=round(float(info.fps), 3),
        start=round(info.start_s, 3),
        num_frames=info.num_frames,
        width=info.width_px,
        height=info.height_px,
        rotation=info.rotation_deg,
        codec=info.codec,
        pixel_format=info.pixel_format,
        container=info.container,
        bit_rate=info.bit_rate_bps,
        variable_frame_rate=info.variable_frame_rate,
        truncated=info.truncated,
        missing=round(info.missing_s, 3),
        size_bytes=info.size_bytes,
        other_streams=[
            f"stream {other.index}: {other.codec}, {other.width_px}x{other.height_px}, pictures: {other.num_frames}"
            for other in info.other_streams
        ],
    )


def _prompt_output(result: JobResult, question: Question) -> PromptOutput:
    """What was found out about one question."""
    answers = [answer for answer in result.answers if answer.question == question.index]
    conclusion = next((one for one in result.conclusions if one.question == question.index), None)
    unseen = unseen_spans(answers, result.info, result.plan)
    is_cut = any(answer.is_cut or answer.is_full for answer in answers) or bool(conclusion and conclusion.is_cut)
    error = conclusion.error if conclusion else None
    return PromptOutput(
        prompt=question.text,
        status="partial" if unseen or error or is_cut else "complete",
        coverage=covered_share(unseen, _looked_at_s(result)),
        unseen=[_unseen_output(span) for span in unseen],
        chunk_results=[_chunk_output(answer) for answer in answers],
        aggregated_response=conclusion.value if conclusion else None,
        aggregated_by=_aggregated_by(conclusion, answers),
        aggregation_error=error,
        aggregation_finish_reason=_finish_reason(conclusion) if conclusion else None,
        usage=_usage([*answers, *([conclusion] if conclusion else [])]),
    )


def _aggregated_by(
    conclusion: Conclusion | None, answers: Sequence[Answer]
) -> Literal["chunk", "rule", "model"] | None:
    if conclusion is None or conclusion.error:
        return None
    if conclusion.generations:
        return "model"
    return "chunk" if len(answers) == 1 else "rule"


def _about_all(result: JobResult, results: Sequence[PromptOutput]) -> QuestionOutput:
    """What holds for a job of several questions; a part counts as not seen if one of them has no answer about it."""
    by_chunk = groupby(result.answers, key=lambda answer: answer.chunk.index)
    least = [min(answers, key=lambda answer: answer.is_answered) for _, answers in by_chunk]
    unseen = unseen_spans(least, result.info, result.plan)
    return QuestionOutput(
        status="partial" if any(one.status == "partial" for one in results) else "complete",
        coverage=covered_share(unseen, _looked_at_s(result)),
        unseen=[_unseen_output(span) for span in unseen],
        chunk_results=[],
        aggregated_response=None,
        aggregated_by=None,
        aggregation_error=None,
        aggregation_finish_reason=None,
        usage=_usage([*result.answers, *result.conclusions]),
    )


def _looked_at_s(result: JobResult) -> float:
    """How long the part is that was to be looked at, the missing end of a file included."""
    return result.plan.window.duration_s + _missing_s(result.info, result.plan)


def _missing_s(info: VideoInfo, plan: VideoPlan) -> float:
    """How much of what was asked for is in the missing end of a file, as far as the container tells."""
    return max(0.0, min(info.missing_s, plan.wanted_end_s - info.end_s))


def unseen_spans(answers: Sequence[Answer], info: VideoInfo, plan: VideoPlan) -> tuple[UnseenSpan, ...]:
    """Return what was not seen of what was asked for of a video, in the order of time.

    The last span is empty if its end is not known.
    """
    spans = [span for answer in answers for span in _unseen_in(answer)]
    if plan.wanted_end_s > info.end_s and (info.truncated or info.missing_s):
        spans.append(UnseenSpan(info.end_s, info.end_s + _missing_s(info, plan), UnseenReason.TRUNCATED))
    return joined(spans)


def covered_share(unseen: Sequence[UnseenSpan], duration_s: float) -> float:
    """Return the fraction of a video, 0 to 1, that is in no span; 1 only if there is none with a length."""
    unseen_s = sum(span.end_s - span.start_s for span in unseen)
    return 1.0 if unseen_s <= 0 else min(0.9999, max(0.0, round(1 - unseen_s / duration_s, 4)))


def _unseen_in(answer: Answer) -> Sequence[UnseenSpan]:
    """What an answer does not speak of in its chunk."""
    if answer.is_answered:
        return answer.watched.unseen
    failed = answer.watched.fault or (answer.watched.decode_s and not answer.watched.num_frames)
    reason = UnseenReason.NOT_DECODED if failed else UnseenReason.NOT_ANSWERED
    return [UnseenSpan(answer.chunk.start_s, answer.chunk.end_s, reason)]


def _unseen_output(span: UnseenSpan) -> UnseenOutput:
    is_open = span.end_s == span.start_s
    return UnseenOutput(
        start_s=round(span.start_s, 3), end_s=None if is_open else round(span.end_s, 3), reason=span.reason
    )


def _chunk_output(answer: Answer) -> ChunkOutput:
    watched, last = answer.watched, answer.generations[-1] if answer.generations else None
    is_text = answer.form == "text"  # a caller's schema may ask for a string
    timings = {"decode_s": round(watched.decode_s, 3)}
    if last:
        timings |= {"render_s": round(last.render_s, 3), "generate_s": round(last.generate_s, 3)}
    return ChunkOutput(
        index=answer.chunk.index,
        start_s=round(answer.chunk.start_s, 3),
        end_s=round(answer.chunk.end_s, 3),
        text=cast("str | None", answer.value) if is_text else None,
        value=None if is_text else answer.value,
        error=answer.error,
        finish_reason=_finish_reason(answer),
        num_frames=watched.num_frames,
        damaged_frames=watched.damaged_frames,
        sample_fps=round(float(watched.grid.fps), 3),
        prompt_tokens=last.prompt_tokens if last else 0,
        completion_tokens=last.completion_tokens if last else 0,
        timings=timings,
    )


def _finish_reason(part: Answer | Conclusion) -> str | None:
    return part.generations[-1].finish_reason if part.generations else None


def _concessions(result: JobResult) -> list[str]:
    """Return what was given up for the whole video, then for single chunks, then of the answers."""
    concessions = [*_not_in_the_film(result.info), *result.plan.adjustments]
    concessions += dict.fromkeys(note for answer in result.answers for note in answer.watched.adjustments)
    if with_bars := sum(watched.decoding.with_bars for watched in result.watched if watched.decoding):
        concessions.append(f"the picture changes its shape: {with_bars} of those shown have bars beside them")
    if cut := sum(answer.is_cut for answer in result.answers):
        concessions.append(f"{cut} of {len(result.answers)} chunk answers were cut at max_tokens")
    if full := sum(answer.is_full for answer in result.answers):
        concessions.append(f"{full} of {len(result.answers)} chunk answers hold as many entries as a list may have")
    if left_out := sum(answer.left_out for answer in result.answers):
        concessions.append(f"left out because they end before they begin: {left_out} of the things that the model told")
    if any(conclusion.is_cut for conclusion in result.conclusions):
        concessions.append("the merged answer was cut at max_tokens, and may lack events")
    return concessions


def _not_in_the_film(info: VideoInfo) -> list[str]:
    """Return what the file holds and the chunks do not show, one sentence each."""
    sentences = []
    if info.unread_parts:
        sentences.append(f"{info.unread_parts} of the files that this file was put together from could not be read")
    if info.sound_after_s:
        sentences.append(f"the sound goes on for {info.sound_after_s:.1f} s after the last picture")
    return sentences


def _decoding_output(decodings: Sequence[Decoding]) -> DecodingOutput | None:
    """Add up the decoders that reached their end."""
    return DecodingOutput(**asdict(reduce(Decoding.__add__, decodings))) if decodings else None


def _usage(parts: Sequence[Answer | Conclusion]) -> Usage:
    generations = [generation for part in parts for generation in (*part.discarded, *part.generations)]
    return Usage(
        prompt_tokens=sum(generation.prompt_tokens for generation in generations),
        completion_tokens=sum(generation.completion_tokens for generation in generations),
        cached_tokens=sum(generation.cached_tokens for generation in generations),
    )
