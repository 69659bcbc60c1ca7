"""Arranges what a job found as its documented output; seconds are rounded to milliseconds."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from itertools import groupby
from typing import Literal, cast

from api.output import (
    ChunkOutput,
    CostOutput,
    DecodingOutput,
    EstimateFields,
    EstimateOutput,
    JobOutput,
    PlannedOutput,
    PromptOutput,
    QuestionOutput,
    UnseenOutput,
    Usage,
    VideoInfoOutput,
    WindowOutput,
)
from api.unseen import covered_share, looked_at_s, unseen_spans
from records import (
    Answer,
    Conclusion,
    Decoding,
    EstimateResult,
    JobResult,
    Question,
    UnseenSpan,
    VideoInfo,
)


def job_output(result: JobResult) -> JobOutput:
    """Return what a job found, of one question or of several."""
    found = [_question_output(result, question) for question in result.questions]
    prompts = zip(result.questions, found, strict=True)
    return JobOutput(
        **dict(_about_all(result, found) if result.is_list else found[0]),
        **dict(_planned_output(result, _concessions(result))),
        results=[PromptOutput(prompt=question.text, **dict(one)) for question, one in prompts]
        if result.is_list
        else None,
        decoding=_decoding_output([watched.decoding for watched in result.watched if watched.decoding]),
        cost=CostOutput(
            gpu=result.price.gpu,
            gpu_seconds=round(result.total_s, 3),
            usd=_rounded_usd(result.price.of(result.total_s)),
        ),
    )


def estimate_output(result: EstimateResult) -> EstimateOutput:
    """Return what a job would take."""
    estimate = result.estimate
    return EstimateOutput(
        **dict(_planned_output(result, [*_not_in_the_film(result.info), *result.plan.adjustments])),
        estimate=EstimateFields(
            seconds=None if estimate.seconds is None else round(estimate.seconds, 3),
            usd=_rounded_usd(estimate.usd),
            gpu=estimate.gpu,
            frames=estimate.num_frames,
            prompt_tokens=estimate.prompt_tokens,
            max_completion_tokens=estimate.max_completion_tokens,
        ),
    )


def _planned_output(result: JobResult | EstimateResult, concessions: list[str]) -> PlannedOutput:
    plan = result.plan
    return PlannedOutput(
        video_info=_video_info_output(result.info),
        window=WindowOutput(start_s=round(plan.window.start_s, 3), end_s=round(plan.window.end_s, 3)),
        num_chunks=len(plan.chunks),
        sample_fps=round(float(plan.grid.fps), 3),
        frame_size=(plan.grid.width_px, plan.grid.height_px),
        concessions=concessions,
        total_processing_time=round(result.total_s, 3),
        timings=_timings(result),
    )


def _timings(result: JobResult | EstimateResult) -> dict[str, float]:
    """Seconds by stage, and what none of them took."""
    stages = {f"{stage}_s": round(seconds, 3) for stage, seconds in result.timings_s.items()}
    return stages | {"other_s": round(max(0.0, round(result.total_s, 3) - sum(stages.values())), 3)}


def _rounded_usd(usd: float | None) -> float | None:
    return None if usd is None else round(usd, 6)


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


def _question_output(result: JobResult, question: Question) -> QuestionOutput:
    """What was found out about one question."""
    answers = [answer for answer in result.answers if answer.question == question.index]
    conclusion = next((one for one in result.conclusions if one.question == question.index), None)
    unseen = unseen_spans(answers, result.info, result.plan)
    is_cut = any(answer.is_cut or answer.is_full for answer in answers) or bool(conclusion and conclusion.is_cut)
    error = conclusion.error if conclusion else None
    return QuestionOutput(
        status="partial" if unseen or error or is_cut else "complete",
        coverage=covered_share(unseen, looked_at_s(result)),
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


def _about_all(result: JobResult, found: Sequence[QuestionOutput]) -> QuestionOutput:
    """What holds for a job of several questions; a part counts as not seen if one of them has no answer about it."""
    by_chunk = groupby(result.answers, key=lambda answer: answer.chunk.index)
    least = [min(answers, key=lambda answer: answer.is_answered) for _, answers in by_chunk]
    unseen = unseen_spans(least, result.info, result.plan)
    return QuestionOutput(
        status="partial" if any(one.status == "partial" for one in found) else "complete",
        coverage=covered_share(unseen, looked_at_s(result)),
        unseen=[_unseen_output(span) for span in unseen],
        chunk_results=[],
        aggregated_response=None,
        aggregated_by=None,
        aggregation_error=None,
        aggregation_finish_reason=None,
        usage=_usage([*result.answers, *result.conclusions]),
    )


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
