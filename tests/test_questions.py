"""Several questions in one job: each has its own answer, and all are asked about the same frames."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from answers.prompts import chunk_message
from engine.chat import chat_text, video_metadata
from engine.shared_frames import SharedFrames
from jobs import answer, job_input
from records import GenerationOptions
from synthetic_frames import frame_batch
from vllm_client import VLLMClient

GREEDY = GenerationOptions(max_tokens=16, temperature=0, top_p=1, seed=None)
QUESTIONS = ["List the scenes.", "Is there a red circle?", "What is shown at the end?"]


def asked(video: Path, **changes: Any) -> dict[str, Any]:
    job = job_input(video, temperature=0.0, max_tokens=24, **changes)
    return {name: value for name, value in job.items() if name != "prompt" or "prompts" not in changes}


@pytest.mark.usefixtures("worker")
async def test_each_question_is_answered_as_if_it_were_asked_alone(twelve_seconds: Path) -> None:
    together = await answer(asked(twelve_seconds, prompts=QUESTIONS))
    assert [one["prompt"] for one in together["results"]] == QUESTIONS
    for question, result in zip(QUESTIONS, together["results"], strict=True):
        alone = await answer(asked(twelve_seconds, prompt=question))
        assert [one["text"] for one in result["chunk_results"]] == [one["text"] for one in alone["chunk_results"]]
        assert result["aggregated_response"] == alone["aggregated_response"]
        assert result["usage"]["prompt_tokens"] == alone["usage"]["prompt_tokens"]
    assert (together["chunk_results"], together["aggregated_response"]) == ([], None)
    for kind in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        assert together["usage"][kind] == sum(one["usage"][kind] for one in together["results"])


@pytest.mark.parametrize("system", [None, "You are terse."])
async def test_a_further_question_has_the_tokens_that_a_rendering_of_its_own_has(
    client: VLLMClient, system: str | None
) -> None:
    engine: Any = await client.initialize_model()
    batch = frame_batch(8, 64, 96, start_s=12)
    texts = [chat_text(engine._processor, chunk_message(one, batch.chunk, system), ["video"]) for one in QUESTIONS]
    renderings: list[str] = []

    async def rendered(text: str) -> Any:
        renderings.append(text)
        metadata = video_metadata(batch) | {"do_sample_frames": False}
        return await engine._render({"prompt": text, "multi_modal_data": {"video": [(batch.pixels, metadata)]}})

    alone = [await rendered(text) for text in texts]
    renderings.clear()
    frames = SharedFrames(engine._processor.tokenizer)
    shared = [await frames.prompt(text, partial(rendered, text)) for text in texts]
    assert renderings == texts[:1]
    assert [one["prompt_token_ids"] for one in shared] == [one["prompt_token_ids"] for one in alone]
    assert all(one["mm_hashes"] == alone[0]["mm_hashes"] for one in shared)


async def test_a_text_that_begins_otherwise_is_rendered_anew(client: VLLMClient) -> None:
    engine: Any = await client.initialize_model()
    batch = frame_batch(8, 64, 96, start_s=12)
    messages = [chunk_message("What?", batch.chunk, system) for system in ("You are terse.", "You are an owl.")]
    first, second = [await engine.generate_on_frames(message, batch, GREEDY) for message in messages]
    alone = await engine.generate_on_frames(messages[1], frame_batch(8, 64, 96, start_s=12), GREEDY)
    assert first.prompt_tokens != second.prompt_tokens
    assert (second.text, second.prompt_tokens) == (alone.text, alone.prompt_tokens)


@pytest.mark.usefixtures("worker")
async def test_a_question_of_another_job_finds_the_frames_of_the_first_one_computed(twelve_seconds: Path) -> None:
    await answer(asked(twelve_seconds, prompt="What is it?"))
    later = await answer(asked(twelve_seconds, prompt="Why?"))
    assert later["usage"]["cached_tokens"] >= 3 * 128  # a block of every chunk
