"""The documented output of a job, from its result."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from typing import Literal

from pydantic import BaseModel

from records import ChunkResult, Decoding, Generation, JobResult


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
    """Seconds that a truncated file promises and does not hold, as far as it tells."""
    size_bytes: int


class ChunkOutput(BaseModel):
    """One chunk: `text` and no `error`, or the other way round."""

    index: int
    start_s: float
    end_s: float
    text: str | None
    error: str | None
    finish_reason: str | None
    num_frames: int
    damaged_frames: int
    """Of these, those of which the decoder had to make up a part."""
    sample_fps: float
    prompt_tokens: int
    completion_tokens: int
    timings: dict[str, float]


class DecodingOutput(BaseModel):
    """How frames were got: from packets `needed` for them, from `all`, or from `keyframes` alone."""

    strategy: Literal["needed", "all", "keyframes"]
    packets: int
    decoded: int
    groups_alone: int


class Usage(BaseModel):
    """Tokens of all requests, those of the synthesis included."""

    prompt_tokens: int
    completion_tokens: int


class JobOutput(BaseModel):
    """What a job returns when at least one chunk was answered."""

    success: Literal[True] = True
    status: Literal["complete", "partial"]
    coverage: float
    """Share of the video's duration that the answered chunks saw."""
    video_info: VideoInfoOutput
    num_chunks: int
    chunk_results: list[ChunkOutput]
    aggregated_response: str | None
    aggregation_error: str | None
    total_processing_time: float
    sample_fps: float
    frame_size: tuple[int, int]
    """Width and height of the frames given to the model."""
    concessions: list[str]
    decoding: DecodingOutput | None
    timings: dict[str, float]
    usage: Usage


def job_output(result: JobResult) -> JobOutput:
    """Arrange a result as documented; seconds are rounded to milliseconds."""
    info, plan = result.info, result.plan
    coverage = covered_share(result.chunks, info.duration_s, info.missing_s)
    generations = [chunk.generation for chunk in result.chunks if chunk.generation]
    if result.synthesis:
        generations += result.synthesis.generations
    return JobOutput(
        status="partial" if coverage < 1 or info.truncated or result.synthesis_error else "complete",
        coverage=coverage,
        video_info=VideoInfoOutput(
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
        ),
        num_chunks=len(result.chunks),
        chunk_results=[_chunk_output(chunk) for chunk in result.chunks],
        aggregated_response=result.synthesis.text if result.synthesis else None,
        aggregation_error=result.synthesis_error,
        total_processing_time=round(result.total_s, 3),
        sample_fps=round(float(plan.sampling.fps), 3),
        frame_size=(plan.sampling.width_px, plan.sampling.height_px),
        concessions=list(plan.concessions),
        decoding=_decoding_output([chunk.decoding for chunk in result.chunks if chunk.decoding]),
        timings={stage: round(seconds, 3) for stage, seconds in result.timings_s.items()},
        usage=_usage(generations),
    )


def covered_share(chunks: Sequence[ChunkResult], duration_s: float, missing_s: float) -> float:
    """The share, 0 to 1, of a video that the answered chunks saw; 1 only if none of it is unseen.

    Args:
        chunks: all of the file.
        duration_s: of what the file holds.
        missing_s: what it promises beyond that.
    """
    unseen_s = missing_s + sum(_unseen_s(chunk) for chunk in chunks)
    return 1.0 if unseen_s <= 0 else min(0.9999, round(1 - unseen_s / (duration_s + missing_s), 4))


def _unseen_s(result: ChunkResult) -> float:
    """Of the span that a chunk answers for; damaged frames were not seen."""
    chunk = result.chunk
    if not result.generation:
        return chunk.end_s - chunk.start_s
    seen_s = (result.seen_until_s - chunk.start_s) * (1 - result.damaged_frames / max(1, result.num_frames))
    return chunk.end_s - chunk.start_s - seen_s


def _chunk_output(result: ChunkResult) -> ChunkOutput:
    generation = result.generation
    timings = {"decode_s": round(result.decode_s, 3)}
    if generation:
        timings |= {"render_s": round(generation.render_s, 3), "generate_s": round(generation.generate_s, 3)}
    return ChunkOutput(
        index=result.chunk.index,
        start_s=round(result.chunk.start_s, 3),
        end_s=round(result.chunk.end_s, 3),
        text=generation.text if generation else None,
        error=result.error,
        finish_reason=generation.finish_reason if generation else None,
        num_frames=result.num_frames,
        damaged_frames=result.damaged_frames,
        sample_fps=round(result.sample_fps, 3),
        prompt_tokens=generation.prompt_tokens if generation else 0,
        completion_tokens=generation.completion_tokens if generation else 0,
        timings=timings,
    )


def _decoding_output(decodings: Sequence[Decoding]) -> DecodingOutput | None:
    """Of all decoders that came to their end."""
    return DecodingOutput(**asdict(reduce(Decoding.__add__, decodings))) if decodings else None


def _usage(generations: Sequence[Generation]) -> Usage:
    return Usage(
        prompt_tokens=sum(generation.prompt_tokens for generation in generations),
        completion_tokens=sum(generation.completion_tokens for generation in generations),
    )
