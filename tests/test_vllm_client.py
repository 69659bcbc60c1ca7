"""What VLLMClient promises about order, bounds and failures, on a scripted engine."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from answers.prompts import merge_message
from config import Settings
from engine.interface import CHAT_FORMAT_TOKENS
from errors import EngineDead, EngineStartFailed, GenerationFailed, InputError, PromptTooLong
from fakes import ScriptedEngine
from records import (
    Answer,
    Conclusion,
    FrameBatch,
    Generation,
    GenerationOptions,
    Question,
    TokenProbability,
    Watched,
)
from synthetic_frames import frame_batch
from vllm_client import VLLMClient

OPTIONS = GenerationOptions(max_tokens=16, temperature=0, top_p=1, seed=None)


def client_of(engine: ScriptedEngine, **settings: Any) -> VLLMClient:
    return VLLMClient(Settings(**settings), lambda _settings: engine)


class Batches:
    """A source of chunks that counts how many were asked for."""

    def __init__(self, count: int, *, empty: frozenset[int] = frozenset()) -> None:
        self.taken = 0
        self.closed = False
        self._count = count
        self._empty = empty

    async def stream(self) -> AsyncGenerator[FrameBatch]:
        try:
            for index in range(self._count):
                self.taken += 1
                batch = frame_batch(4, 32, 32, start_s=2.0 * index, index=index)
                if index in self._empty:
                    batch = batch.chosen(slice(0))
                yield batch
        finally:
            self.closed = True


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(50):
        await asyncio.sleep(0)


async def answer(client: VLLMClient, batches: Batches) -> list[Answer]:
    return await client.process_chunks_parallel("What?", batches.stream(), OPTIONS)


async def test_results_are_in_the_order_of_the_chunks_whatever_finishes_first() -> None:
    engine = ScriptedEngine()
    engine.gates = {index: asyncio.Event() for index in range(4)}
    engine.gates[3].set()
    running = asyncio.create_task(answer(client_of(engine), Batches(4)))
    for held in (3, 2, 1):
        while engine.held != held:
            await asyncio.sleep(0)
        engine.gates[held - 1].set()
    assert [answer.chunk.index for answer in await running] == [0, 1, 2, 3]


async def test_what_is_kept_of_an_answer_has_no_probabilities_of_its_tokens() -> None:
    """Those of 32 questions about ten hours take a gigabyte, and only the form needs them."""
    probabilities = tuple(TokenProbability(end, -0.5) for end in range(1, 3))

    class TellingEngine(ScriptedEngine):
        async def generate_on_frames(self, *asked: Any) -> Generation:
            return replace(await super().generate_on_frames(*asked), log_probabilities=probabilities)

    def told_as(text: str) -> VLLMClient:
        return client_of(TellingEngine(lambda _batch: text))

    for client in map(told_as, ("[]", "[")):
        question = Question(0, "What?", "events")
        async with aclosing(client.stream_answers([question], Batches(1).stream(), OPTIONS)) as events:
            [told] = [event async for event in events if isinstance(event, Answer)]
        kept = [*told.generations, *told.discarded]
        assert kept
        assert not any(generation.log_probabilities for generation in kept)


async def test_answers_are_told_as_they_come_and_each_after_what_was_watched_of_its_chunk() -> None:
    engine = ScriptedEngine()
    engine.gates = {index: asyncio.Event() for index in range(4)}
    engine.gates[3].set()
    told: list[tuple[type, int]] = []
    async for event in client_of(engine).stream_answers([Question(0, "What?")], Batches(4).stream(), OPTIONS):
        told.append((type(event), event.chunk.index))
        if isinstance(event, Answer) and event.chunk.index:
            engine.gates[event.chunk.index - 1].set()
    assert [index for kind, index in told if kind is Answer] == [3, 2, 1, 0]
    assert [index for kind, index in told if kind is Watched] == [0, 1, 2, 3]


async def test_a_chunk_keeps_its_place_until_every_question_about_it_is_answered() -> None:
    engine = ScriptedEngine()
    engine.gate = asyncio.Event()
    client, batches = client_of(engine, max_chunks_in_flight=1), Batches(2)
    client._requests = asyncio.Semaphore(2)  # more requests than chunks, so that both questions are in the engine
    questions = [Question(0, "Who?"), Question(1, "Where?")]

    async def answers() -> list[Answer]:
        stream = client.stream_answers(questions, batches.stream(), OPTIONS)
        return [event async for event in stream if isinstance(event, Answer)]

    running = asyncio.create_task(answers())
    while engine.held < 2:
        await asyncio.sleep(0)
    await settle()
    assert batches.taken == 1
    engine.gate.set()
    assert sorted((answer.chunk.index, answer.question) for answer in await running) == [(0, 0), (0, 1), (1, 0), (1, 1)]


async def test_no_more_chunks_are_decoded_than_may_be_in_flight() -> None:
    engine = ScriptedEngine()
    engine.gate = asyncio.Event()
    batches = Batches(10)
    running = asyncio.create_task(answer(client_of(engine, max_chunks_in_flight=3), batches))
    while engine.held < 3:
        await asyncio.sleep(0)
    await settle()
    assert batches.taken == 3
    engine.gate.set()
    assert len(await running) == 10
    assert engine.most_held == 3


async def test_the_bound_on_chunks_is_one_for_all_jobs() -> None:
    engine = ScriptedEngine()
    engine.gate = asyncio.Event()
    client = client_of(engine, max_chunks_in_flight=3)
    running = asyncio.gather(answer(client, Batches(5)), answer(client, Batches(5)))
    while engine.held < 3:
        await asyncio.sleep(0)
    await settle()
    engine.gate.set()
    assert [len(results) for results in await running] == [5, 5]
    assert engine.most_held == 3


async def test_a_failed_chunk_is_reported_and_the_others_are_answered() -> None:
    def fail_second(batch: FrameBatch) -> str:
        if batch.chunk.index == 1:
            raise GenerationFailed("no luck")
        return "seen"

    results = await answer(client_of(ScriptedEngine(fail_second)), Batches(3))
    assert [result.error for result in results] == [None, "GENERATION_FAILED: no luck", None]
    assert (results[1].value, results[1].generations) == (None, ())


async def test_a_chunk_that_fails_is_tried_again_on_every_other_pair_of_its_frames() -> None:
    tried: list[FrameBatch] = []

    def fail_on_many(batch: FrameBatch) -> str:
        tried.append(batch)
        if len(batch.times_s) > 6:
            raise PromptTooLong("scripted")
        return "seen"

    result = await client_of(ScriptedEngine(fail_on_many)).process_video_chunk("?", frame_batch(11, 32, 32), OPTIONS)
    assert (result.error, result.watched.num_frames, result.watched.grid.fps) == (None, 6, Fraction(1))
    assert result.watched.seen_until_s == tried[0].watched.seen_until_s
    assert result.watched.adjustments == (
        "chunk 0 was asked about half of its frames, because all of them did not fit the context",
    )
    assert tried[1].times_s.tolist() == tried[0].times_s[[0, 1, 4, 5, 8, 9]].tolist()
    assert (tried[1].pixels == tried[0].pixels[[0, 1, 4, 5, 8, 9]]).all()


async def test_a_chunk_of_few_frames_is_tried_again_on_all_of_them() -> None:
    faults = iter([GenerationFailed("scripted")])

    def fail_once(batch: FrameBatch) -> str:
        for fault in faults:
            raise fault
        return f"{len(batch.times_s)} seen"

    result = await client_of(ScriptedEngine(fail_once)).process_video_chunk("?", frame_batch(5, 32, 32), OPTIONS)
    assert (result.value, result.watched.adjustments) == ("5 seen", ())


async def test_a_chunk_without_frames_is_an_error_and_never_reaches_the_engine() -> None:
    engine = ScriptedEngine()
    results = await answer(client_of(engine), Batches(3, empty=frozenset({2})))
    assert results[2].error is not None
    assert results[2].error.startswith("NO_FRAMES: ")
    assert len(engine.messages) == 2


async def test_a_dead_engine_ends_the_job_closes_the_source_and_frees_the_gate() -> None:
    def die(_batch: FrameBatch) -> str:
        raise EngineDead("gone")

    client = client_of(ScriptedEngine(die), max_chunks_in_flight=2)
    batches = Batches(100)
    with pytest.raises(EngineDead):
        await answer(client, batches)
    assert batches.closed
    assert client._limiter.held == 0


async def test_cancelling_a_job_cancels_its_requests_and_frees_the_gate() -> None:
    engine = ScriptedEngine()
    engine.gate = asyncio.Event()
    client = client_of(engine, max_chunks_in_flight=2)
    batches = Batches(100)
    running = asyncio.create_task(answer(client, batches))
    while engine.held < 2:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (engine.held, batches.closed, client._limiter.held) == (0, True, 0)


async def test_concurrent_callers_share_one_load_and_a_cancelled_one_does_not_lose_it() -> None:
    release, loads = threading.Event(), []

    def build(_settings: Settings) -> ScriptedEngine:
        loads.append(1)
        release.wait()
        return ScriptedEngine()

    client = VLLMClient(Settings(), build)
    first, second = (asyncio.create_task(client.initialize_model()) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    release.set()
    assert isinstance(await second, ScriptedEngine)
    assert await client.initialize_model() is await second
    assert len(loads) == 1


async def test_a_failed_load_is_tried_again_by_the_next_caller() -> None:
    outcomes: Iterator[EngineStartFailed | ScriptedEngine] = iter([EngineStartFailed("no memory"), ScriptedEngine()])

    def build(_settings: Settings) -> ScriptedEngine:
        outcome = next(outcomes)
        if isinstance(outcome, ScriptedEngine):
            return outcome
        raise outcome

    client = VLLMClient(Settings(), build)
    with pytest.raises(EngineStartFailed):
        await client.initialize_model()
    assert isinstance(await client.initialize_model(), ScriptedEngine)


def chunk_answers(texts: Sequence[str | None]) -> list[Answer]:
    watched = [frame_batch(4, 32, 32, start_s=2.0 * index, index=index).watched for index in range(len(texts))]
    return [
        Answer(one, 0, "text", text, error=None if text else "X: y") for one, text in zip(watched, texts, strict=True)
    ]


async def test_no_more_requests_are_in_the_engine_than_chunks_may_be() -> None:
    """Each takes its frames along."""
    engine = ScriptedEngine()
    questions = [Question(index, f"{index}?") for index in range(6)]
    client = client_of(engine, max_chunks_in_flight=2)
    async with aclosing(client.stream_answers(questions, Batches(3).stream(), OPTIONS)) as events:
        answers = [event async for event in events if isinstance(event, Answer)]
    assert len(answers) == 18
    assert engine.most_held == 2


async def conclusion(
    engine: ScriptedEngine, text: str, answers: list[Answer], options: GenerationOptions = OPTIONS
) -> Conclusion:
    return await client_of(engine).aggregate_chunk_results(Question(0, text), answers, options)


async def test_the_synthesis_asks_the_users_question_of_all_notes_in_order_and_names_the_gaps() -> None:
    engine = ScriptedEngine()
    synthesis = await conclusion(engine, "Who wins?", chunk_answers(["a", None, "c"]))
    [message] = engine.messages
    assert message.user.endswith("Question: Who wins?")
    assert "[0.0 to 2.0 seconds] a\n[2.0 to 4.0 seconds] This part could not be watched.\n[4.0 to 6.0 seconds] c" in (
        message.user
    )
    assert len(synthesis.generations) == 1


async def test_notes_beyond_the_context_are_merged_in_rounds_and_none_is_left_out() -> None:
    engine = ScriptedEngine(on_text=lambda message: " ".join(sorted(set(message.user.split()) & names)))
    empty = merge_message("What?", [])
    words = f"{empty.system} {empty.user}".split()
    engine.max_model_len = len(words) + CHAT_FORMAT_TOKENS + 16 + 60
    names = {f"note{index:02d}" for index in range(40)}
    synthesis = await client_of(engine).aggregate_chunk_results(
        Question(0, "What?"), chunk_answers(sorted(names)), OPTIONS
    )
    assert set(str(synthesis.value).split()) == names
    assert len(synthesis.generations) == len(engine.messages) > 3


async def test_a_note_too_long_for_any_prompt_is_cut_and_the_others_stay_whole() -> None:
    engine = ScriptedEngine()
    texts = ["word " * 10_000, "short and whole"]
    await conclusion(engine, "What?", chunk_answers(texts))
    [message] = engine.messages
    assert len(message.user.split()) < engine.max_model_len
    assert "[cut here]" in message.user
    assert "short and whole" in message.user


async def test_a_max_tokens_beyond_the_context_still_leaves_room_for_the_notes() -> None:
    engine = ScriptedEngine()
    generous = GenerationOptions(max_tokens=32_768, temperature=0, top_p=1, seed=None)
    await conclusion(engine, "What?", chunk_answers(["one", "two"]), generous)
    assert "] one" in engine.messages[0].user


async def test_a_single_chunks_answer_is_the_answer() -> None:
    engine = ScriptedEngine()
    synthesis = await client_of(engine).aggregate_chunk_results(
        Question(0, "What?"), chunk_answers(["all of it"]), OPTIONS
    )
    assert (synthesis.value, engine.messages) == ("all of it", [])


@pytest.mark.parametrize("count", [0, 9])
async def test_a_request_with_no_or_too_many_images_is_refused(count: int) -> None:
    images = list(frame_batch(9, 40, 50).pixels[:count])
    with pytest.raises(InputError):
        await client_of(ScriptedEngine()).process_images("What?", images, OPTIONS)


async def test_a_client_whose_engine_does_not_start_shuts_down_all_the_same() -> None:
    def fail(_settings: Settings) -> ScriptedEngine:
        raise EngineStartFailed("scripted")

    client = VLLMClient(Settings(), fail)
    loading = asyncio.create_task(client.initialize_model())
    await asyncio.sleep(0)  # the start begins
    await client.shutdown()
    with pytest.raises(EngineStartFailed):
        await loading
