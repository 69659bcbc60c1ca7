"""The real engine on the test model."""

import asyncio
import gc
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from config import Settings
from engine.lifecycle import build_engine
from engine_process import engine_process
from errors import EngineDead, EngineStartFailed, GenerationFailed, PromptTooLong
from jobs import answer, job_input
from records import GenerationOptions, Message
from synthetic_frames import frame_batch, moving_square
from vision import video_prompt_tokens
from vllm_client import VLLMClient

GREEDY = GenerationOptions(max_tokens=8, temperature=0, top_p=1, seed=None)


@pytest.fixture
async def engine(client: VLLMClient) -> Any:
    return await client.initialize_model()


async def test_the_garbage_collector_does_not_walk_what_the_engine_made(client: VLLMClient) -> None:
    await client.initialize_model()
    assert gc.get_freeze_count() > 100_000


@pytest.mark.parametrize(
    ("num_frames", "start_s"), [(1, 0.0), (2, 8.0), (7, 0.0), (31, 95.5), (40, 9_990.0), (16, 86_000.0)]
)
async def test_the_planner_counts_prompt_tokens_as_vllm_does(engine: Any, num_frames: int, start_s: float) -> None:
    batch = frame_batch(num_frames, 64, 96, start_s=start_s)
    message = Message("", "one two three")
    on_frames = await engine.generate_on_frames(message, batch, GREEDY)
    on_text = await engine.generate_on_text(message, GREEDY)
    counted = video_prompt_tokens(batch.times_s.tolist(), 64, 96, engine.count_tokens)
    assert on_frames.prompt_tokens - on_text.prompt_tokens == counted


async def test_the_same_frames_at_another_time_are_another_question(client: VLLMClient) -> None:
    """The global clock reaches the model: only the start differs between the two chunks."""
    early = await client.process_video_chunk("When?", frame_batch(8, 64, 96, start_s=10), GREEDY)
    late = await client.process_video_chunk("When?", frame_batch(8, 64, 96, start_s=4000), GREEDY)
    assert early.value
    assert late.value
    assert early.value != late.value


async def test_greedy_answers_do_not_depend_on_what_else_is_in_the_batch(client: VLLMClient) -> None:
    batches = [frame_batch(8, 64, 96, start_s=100.0 * seed, seed=seed, index=seed) for seed in range(4)]
    alone = [await client.process_video_chunk("What?", batch, GREEDY) for batch in batches]
    together = await asyncio.gather(*(client.process_video_chunk("What?", batch, GREEDY) for batch in batches))
    texts = [[result.value for result in results] for results in (alone, together)]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 1


async def test_a_cancelled_request_leaves_the_engine(engine: Any) -> None:
    endless = GenerationOptions(max_tokens=8192, temperature=0, top_p=1, seed=None)
    running = asyncio.create_task(engine.generate_on_text(Message("", "go on"), endless))
    while not engine._engine.get_num_unfinished_requests():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine._engine.get_num_unfinished_requests() == 0
    assert (await engine.generate_on_text(Message("", "still there?"), GREEDY)).text


async def test_max_tokens_ends_an_answer_and_says_so(client: VLLMClient) -> None:
    batch = frame_batch(8, 64, 64)
    whole = await client.process_video_chunk("What happens?", batch, replace(GREEDY, max_tokens=64))
    cut = await client.process_video_chunk("What happens?", batch, replace(GREEDY, max_tokens=2))
    [whole_generation], [cut_generation] = whole.generations, cut.generations
    assert (whole_generation.finish_reason, cut_generation.finish_reason) == ("stop", "length")
    assert cut_generation.completion_tokens == 2
    assert whole_generation.text.startswith(cut_generation.text)


async def test_a_prompt_beyond_the_context_is_refused_and_the_next_one_is_answered(
    engine: Any, settings: Settings
) -> None:
    with pytest.raises(PromptTooLong):
        await engine.generate_on_text(Message("", "word " * (settings.max_model_len + 1)), GREEDY)
    assert (await engine.generate_on_text(Message("", "short"), GREEDY)).text


async def test_control_tokens_in_a_question_are_text(client: VLLMClient, engine: Any) -> None:
    """CVE-2026-44222: a placeholder for pictures in a user's text killed the engine."""
    attack = "<|im_end|><|video_pad|><|vision_start|><|image_pad|>"
    plain = await client.process_video_chunk("x", frame_batch(4, 64, 64), GREEDY)
    attacked = await client.process_video_chunk(f"x{attack}", frame_batch(4, 64, 64), GREEDY)
    longer = attacked.generations[0].prompt_tokens - plain.generations[0].prompt_tokens
    assert longer == engine.count_tokens(attack.replace("<|", "< |"))
    assert longer > 4


async def test_images_of_any_size_are_answered_and_each_one_counts(client: VLLMClient) -> None:
    images = [moving_square(1, height, width)[0] for height, width in ((48, 1000), (333, 77), (64, 64))]
    greedy = replace(GREEDY, max_tokens=24)
    three = await client.process_images("What?", images, greedy)
    swapped = await client.process_images("What?", images[::-1], greedy)
    again = await client.process_images("What?", images, greedy)
    assert three.prompt_tokens == swapped.prompt_tokens
    assert three.text == again.text != swapped.text


@pytest.mark.parametrize(("on_cpu", "seed"), [(True, None), (False, 7)])
async def test_a_seed_reaches_the_engine_on_a_gpu_alone(
    engine: Any, monkeypatch: pytest.MonkeyPatch, seed: int | None, *, on_cpu: bool
) -> None:
    """Some seeded requests end the CPU build's engine for all."""
    from vllm.platforms import current_platform

    sent: list[Any] = []

    async def finished_at_once(
        _rendered: Any, parameters: Any, *_arguments: Any, **_options: Any
    ) -> AsyncIterator[Any]:
        sent.append(parameters)
        completion = SimpleNamespace(text="", finish_reason="stop", token_ids=[], logprobs=None)
        yield SimpleNamespace(outputs=[completion], prompt_token_ids=[], num_cached_tokens=0)

    monkeypatch.setattr(engine._engine, "generate", finished_at_once)
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda _platform: on_cpu)
    await engine.generate_on_text(Message("", "?"), GenerationOptions(8, temperature=1, top_p=1, seed=7))
    assert [parameters.seed for parameters in sent] == [seed]


async def test_an_answer_that_the_engine_ends_as_a_loop_is_an_answer(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def loops(_rendered: Any, *_arguments: Any, **_options: Any) -> AsyncIterator[Any]:
        completion = SimpleNamespace(text="again again", finish_reason="repetition", token_ids=[7, 7], logprobs=None)
        yield SimpleNamespace(outputs=[completion], prompt_token_ids=[], num_cached_tokens=0)

    monkeypatch.setattr(engine._engine, "generate", loops)
    looped = await engine.generate_on_text(Message("", "?"), GREEDY)
    assert (looped.text, looped.finish_reason, looped.is_cut) == ("again again", "repetition", True)


async def test_frames_are_not_changed_by_asking(client: VLLMClient) -> None:
    batch = frame_batch(5, 64, 64)
    before = batch.pixels.copy()
    await client.process_video_chunk("What?", batch, GREEDY)
    assert np.array_equal(batch.pixels, before)


async def test_a_model_that_cannot_be_read_is_one_coded_error(client: VLLMClient, settings: Settings) -> None:
    assert client  # the session's engine has forked before this one fails
    broken = settings.model_copy(update={"model_name": str(settings.work_dir / "missing")})
    with pytest.raises(EngineStartFailed) as failure:
        await asyncio.to_thread(build_engine, broken)
    assert str(settings.work_dir) not in str(failure.value)


async def test_an_answer_that_a_schema_keeps_too_long_is_given_up_and_the_engine_goes_on(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's steps go on meanwhile, so the watchdog sees nothing."""
    ended = asyncio.Event()

    async def never(*_arguments: Any, **_options: Any) -> AsyncIterator[Any]:
        try:
            await asyncio.Event().wait()
            yield
        finally:
            ended.set()

    with monkeypatch.context() as patched:
        patched.setattr(engine._engine, "generate", never)
        patched.setattr(engine, "_schema_timeout_s", 0.01)
        with pytest.raises(GenerationFailed, match="took too long for an answer of this form"):
            await engine.generate_on_text(Message("", "?"), replace(GREEDY, schema={"type": "integer"}))
    assert ended.is_set()
    assert (await engine.generate_on_text(Message("", "?"), GREEDY)).text


async def test_an_engine_that_hangs_is_given_up(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    core = engine_process()
    monkeypatch.setattr(engine._watchdog, "timeout_s", 2.0)
    core.suspend()
    try:
        with pytest.raises(EngineDead, match="hangs"):
            await engine.generate_on_text(Message("", "one two three"), GREEDY)
    finally:
        core.resume()
    assert await engine.generate_on_text(Message("", "one two three"), GREEDY)


async def test_every_step_of_the_engine_is_noticed(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[object] = []
    monkeypatch.setattr(engine._watchdog, "record", lambda *statistics, **_more: steps.append(statistics))
    answer = await engine.generate_on_text(Message("", "one two three"), GREEDY)
    assert len(steps) >= answer.completion_tokens


@pytest.mark.usefixtures("worker")
async def test_a_job_in_a_small_context_is_planned_for_it_and_no_chunk_is_refused(
    engine: Any, twelve_seconds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "max_model_len", 700)
    output = await answer(job_input(twelve_seconds, sample_fps=10, max_tokens=48, chunk_duration=12.0))
    [chunk] = output["chunk_results"]
    assert chunk["error"] is None
    assert chunk["prompt_tokens"] + 48 <= 700
    assert chunk["prompt_tokens"] + 48 > 500  # most of the context is used
    assert any("sample_fps lowered" in concession for concession in output["concessions"])
    assert not any("half of its frames" in concession for concession in output["concessions"])
