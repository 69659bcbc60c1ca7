"""Notes become one text, in as many rounds as the context needs; a failure ends the round, and cuts stay visible."""

import asyncio
from collections.abc import Sequence

import pytest

from answers import prompts, synthesis
from answers.prompts import CUT_MARK
from errors import GenerationFailed
from records import Generation, Message


def generation(text: str, finish_reason: str = "stop") -> Generation:
    return Generation(text, finish_reason, 1, 1, render_s=0, generate_s=0)  # type: ignore[arg-type]


def message(notes: Sequence[str]) -> Message:
    return prompts.merge_message("What?", notes)


def count_words(text: str) -> int:
    return len(text.split())


async def test_a_merge_that_fails_cancels_the_requests_beside_it() -> None:
    running, cancelled = 0, 0
    all_run = asyncio.Event()

    async def generate(asked: Message) -> Generation:
        nonlocal running, cancelled
        running += 1
        if running == 4:
            all_run.set()
        await all_run.wait()
        if "note0 " in asked.user:
            raise GenerationFailed("scripted")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise
        raise AssertionError

    notes = [f"note{index} says a few words" for index in range(8)]
    with pytest.raises(GenerationFailed):
        await synthesis.merge(notes, message, generate, count_words, notes_budget_tokens=14)
    assert (running, cancelled) == (4, 3)


async def test_counting_tokens_leaves_the_event_loop_free() -> None:
    loop_runs = asyncio.Event()
    loop = asyncio.get_running_loop()

    def count_when_the_loop_has_run(text: str) -> int:
        asyncio.run_coroutine_threadsafe(asyncio.wait_for(loop_runs.wait(), 20), loop).result()
        return count_words(text)

    async def generate(_asked: Message) -> Generation:
        return generation("merged")

    loop.call_soon(loop_runs.set)
    merged = await synthesis.merge(["a", "b"], message, generate, count_when_the_loop_has_run, notes_budget_tokens=100)
    assert merged.text == "merged"


async def test_an_answer_cut_in_an_inner_round_is_marked_for_the_next_round() -> None:
    asked: list[str] = []

    async def generate(message: Message) -> Generation:
        asked.append(message.user)
        return generation("half a tale", "length" if len(asked) == 1 else "stop")

    notes = [f"note{index} says a few words" for index in range(4)]
    merged = await synthesis.merge(notes, message, generate, count_words, notes_budget_tokens=14)
    assert f"half a tale{CUT_MARK}\nhalf a tale\n" in asked[-1]
    assert [one.is_cut for one in merged.generations] == [True, False, False]
