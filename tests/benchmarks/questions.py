"""What several questions, a window and an estimate are worth: ratios of whole jobs, one after the other."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import worker
from benchmarks.pauses import job
from records import GenerationOptions
from synthetic_frames import frame_batch

ROUNDS = 5
QUESTIONS = ["What happens?", "Is there a red circle?", "What is shown at the end?", "How many scenes are there?"]
OPTIONS = GenerationOptions(max_tokens=8, temperature=0, top_p=1, seed=None)
WINDOW_S = 60
REAL_CHUNK = {"num_frames": 120, "height_px": 256, "width_px": 512}
"""About a minute for an 8B model. On a CPU a block of the cache holds 128 tokens, and what is left over at the end of a
short prompt is a large part of it."""


async def question_figures(client: Any, synthetic_video: Callable[[int], Path]) -> dict[str, float]:
    """Measure on an engine that is warm.

    Args:
        client: with the engine.
        synthetic_video: makes a video of a number of seconds.
    """
    return {
        "cached_token_share": await cached_token_share(client),
        "four_prompts_ratio": await four_prompts_ratio(client, synthetic_video(300)),
        "window_ratio": await window_ratio(client, synthetic_video(3600), synthetic_video(WINDOW_S)),
        "estimate_error": await estimate_error(client, [synthetic_video(s) for s in (60, 300)], synthetic_video(1200)),
    }


async def cached_token_share(client: Any) -> float:
    """The share of the second question's prompt that the engine had computed for the first one."""
    batch = frame_batch(*REAL_CHUNK.values(), start_s=3600, seed=77)
    await client.process_video_chunk(QUESTIONS[0], batch, OPTIONS)
    second = await client.process_video_chunk(QUESTIONS[1], batch, OPTIONS)
    [generation] = second.generations
    share: float = generation.cached_tokens / generation.prompt_tokens
    return share


async def four_prompts_ratio(client: Any, video: Path) -> float:
    """A job of four questions divided by a job of one."""
    several = {name: value for name, value in job(video, max_tokens=48).items() if name != "prompt"}
    return await ratio(client, several | {"prompts": QUESTIONS}, job(video, max_tokens=48))


async def window_ratio(client: Any, hour: Path, minute: Path) -> float:
    """A job about a minute of an hour divided by one about a file of a minute."""
    return await ratio(client, job(hour, start_time=1800, end_time=1800 + WINDOW_S), job(minute))


async def estimate_error(client: Any, before: Sequence[Path], video: Path) -> float:
    """The seconds that were predicted for a job, after shorter ones, divided by those that it took."""
    for shorter in before:
        await answered_s(client, job(shorter))
    estimated = await worker.answer_job(job(video, estimate=True))
    predicted_s: float = estimated["estimate"]["seconds"]
    return predicted_s / await answered_s(client, job(video))


async def ratio(client: Any, one: dict[str, Any], other: dict[str, Any]) -> float:
    """The median, over some rounds, of the ratio of two jobs' times."""
    await answered_s(client, other)  # warms up
    return statistics.median([await answered_s(client, one) / await answered_s(client, other) for _ in range(ROUNDS)])


async def answered_s(client: Any, job_input: dict[str, Any]) -> float:
    """How long a job takes on an engine that has seen none of its frames."""
    engine = await client.initialize_model()
    await engine._engine.reset_prefix_cache()
    await engine._engine.reset_encoder_cache()
    started_s = time.perf_counter()
    output = await worker.answer_job(job_input)
    assert output.get("coverage") == 1, output
    return time.perf_counter() - started_s
