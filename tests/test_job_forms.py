"""Jobs whose answers have a form, on a scripted engine: what chunks told becomes one answer about the video."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from errors import GenerationFailed
from fakes import ScriptedEngine
from jobs import answer, job_input
from records import FrameBatch, Message

ServeWith = Callable[..., None]
EVENTS = {
    0: [(1.2, 2.2, "a ball bounces"), (4.2, 5.2, "a dog barks")],
    1: [(4.2, 6.2, "the dog barks"), (6.2, 5.2, "time runs backwards")],
    2: [(9.2, 10.2, "a ball bounces")],
}


def events_of(batch: FrameBatch) -> str:
    told = [{"start_s": start, "end_s": end, "description": text} for start, end, text in EVENTS[batch.chunk.index]]
    return json.dumps(told)


async def test_events_of_all_chunks_are_told_once_and_what_cannot_be_is_left_out_and_said(
    twelve_seconds: Path, serve_with: ServeWith
) -> None:
    engine = ScriptedEngine(events_of)
    serve_with(engine)
    output = await answer(job_input(twelve_seconds, output="events"))
    told = [(one["start_s"], one["end_s"], one["description"], one["chunk"]) for one in output["aggregated_response"]]
    assert told == [
        (1.2, 2.2, "a ball bounces", 0),
        (4.2, 6.2, "the dog barks", 0),
        (9.2, 10.2, "a ball bounces", 2),
    ]
    assert output["concessions"] == ["left out because they end before they begin: 1 of the things that the model told"]
    assert len(engine.messages) == 3  # no model is asked to merge them
    assert output["aggregated_by"] == "rule"


async def test_a_chunk_without_an_answer_leaves_the_others_events(twelve_seconds: Path, serve_with: ServeWith) -> None:
    serve_with(ScriptedEngine(lambda batch: "[" if batch.chunk.index == 1 else events_of(batch)))
    output = await answer(job_input(twelve_seconds, output="events"))
    assert output["status"] == "partial"
    assert [one["reason"] for one in output["unseen"]] == ["not_answered"]
    assert output["chunk_results"][1]["error"].startswith("ANSWER_INVALID: ")
    assert len(output["aggregated_response"]) == 3


@pytest.fixture
def second_try() -> Callable[[FrameBatch], str]:
    asked: list[int] = []

    def answered(batch: FrameBatch) -> str:
        asked.append(batch.chunk.index)
        return events_of(batch) if asked.count(batch.chunk.index) == 2 else '[{"start_s": 1.2'

    return answered


async def test_an_answer_that_is_not_of_the_form_is_asked_for_once_more_and_paid_for_twice(
    twelve_seconds: Path, serve_with: ServeWith, second_try: Callable[[FrameBatch], str]
) -> None:
    serve_with(ScriptedEngine(second_try))
    output = await answer(job_input(twelve_seconds, output="events"))
    assert output["status"] == "complete"
    assert output["usage"]["prompt_tokens"] == 2 * sum(one["prompt_tokens"] for one in output["chunk_results"])


async def test_chapters_partition_the_window_and_the_model_joins_those_of_neighbours(
    twelve_seconds: Path, serve_with: ServeWith
) -> None:
    def chapters_of(batch: FrameBatch) -> str:
        starts_s = (batch.chunk.start_s + 0.2, batch.chunk.start_s + 2.2)
        return json.dumps([{"start_s": round(start_s, 1), "title": f"from {start_s:.1f}"} for start_s in starts_s])

    def merged(message: Message) -> str:
        assert "[5.0 to 9.0 seconds] chapters begin at\n5: from 5.2\n7.2: from 7.2" in message.user
        return json.dumps([{"start_s": 1.0, "title": "one"}, {"start_s": 7.2, "title": "two"}])

    serve_with(ScriptedEngine(chapters_of, merged))
    output = await answer(job_input(twelve_seconds, output="chapters", start_time=1, end_time="0:11"))
    assert output["window"] == {"start_s": 1, "end_s": 11}
    assert output["chunk_results"][0]["value"] == [
        {"start_s": 1, "end_s": 3.2, "title": "from 1.2"},
        {"start_s": 3.2, "end_s": 5, "title": "from 3.2"},
    ]
    assert output["aggregated_response"] == [
        {"start_s": 1, "end_s": 7.2, "title": "one"},
        {"start_s": 7.2, "end_s": 11, "title": "two"},
    ]


LIST = {"type": "array", "items": {"type": "string"}}


@pytest.mark.parametrize(
    ("schema", "of_chunk", "merged"),
    [
        (LIST, ["a", "b{0}"], ["a", "b0", "b1", "b2"]),
        ({"type": "object", "properties": {"names": LIST}}, {"names": ["a{0}"]}, {"names": ["a0", "a1", "a2"]}),
    ],
)
async def test_lists_of_the_callers_are_united_without_the_model(
    twelve_seconds: Path, serve_with: ServeWith, schema: object, of_chunk: object, merged: object
) -> None:
    engine = ScriptedEngine(lambda batch: json.dumps(of_chunk).replace("{0}", str(batch.chunk.index)))
    serve_with(engine)
    output = await answer(job_input(twelve_seconds, response_schema=schema))
    assert output["aggregated_response"] == merged
    assert len(engine.messages) == 3


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 9}, 4),
        ({**LIST, "maxItems": 3}, ["a", "b"]),
        ({**LIST, "nullable": True}, None),
        ({"type": "object", "properties": {"names": {**LIST, "nullable": True}}}, {"names": None}),
        ({"type": "object", "nullable": True, "properties": {"names": LIST}}, None),
        ({"type": ["object", "null"], "properties": {"names": LIST}}, None),
        ({"type": ["object", "array"], "properties": {"names": LIST}, "items": {"type": "string"}}, ["a"]),
    ],
)
async def test_what_cannot_be_united_is_asked_again_of_the_chunks_answers(
    twelve_seconds: Path, serve_with: ServeWith, schema: object, told: object
) -> None:
    engine = ScriptedEngine(lambda _batch: json.dumps(told), lambda _message: json.dumps(told))
    serve_with(engine)
    output = await answer(job_input(twelve_seconds, response_schema=schema))
    assert output["aggregated_response"] == told
    assert output["aggregated_by"] == "model"
    assert f"[0.0 to 4.0 seconds] {json.dumps(told)}" in engine.messages[-1].user


@pytest.mark.parametrize(("texts", "merged"), [(['"ten"', "7"], 7), (['"ten"', "[7]"], None)])
async def test_a_merge_that_is_not_of_the_form_is_made_once_more(
    twelve_seconds: Path, serve_with: ServeWith, texts: list[str], merged: int | None
) -> None:
    left = list(texts)
    serve_with(ScriptedEngine(lambda _batch: "4", lambda _message: left.pop(0)))
    output = await answer(job_input(twelve_seconds, response_schema={"type": "integer"}))
    assert left == []
    assert output["aggregated_response"] == merged
    assert output["status"] == ("complete" if merged else "partial")
    assert (output["aggregation_error"] or "").startswith("" if merged else "ANSWER_INVALID: ")
    chunks_tokens = sum(chunk["prompt_tokens"] for chunk in output["chunk_results"])
    assert output["usage"]["prompt_tokens"] == chunks_tokens + 2 * 10  # both merges were paid for


async def test_a_string_that_a_schema_asks_for_is_a_value(twelve_seconds: Path, serve_with: ServeWith) -> None:
    serve_with(ScriptedEngine(lambda _batch: '"yes"', lambda _message: '"no"'))
    output = await answer(job_input(twelve_seconds, response_schema={"enum": ["yes", "no"]}))
    assert {(chunk["text"], chunk["value"]) for chunk in output["chunk_results"]} == {(None, "yes")}
    assert output["aggregated_response"] == "no"


async def test_a_question_that_no_chunk_answers_does_not_harm_the_others(
    twelve_seconds: Path, serve_with: ServeWith
) -> None:
    def answered(question: str, batch: FrameBatch) -> str:
        if question == "second" or batch.chunk.index == 1:
            raise GenerationFailed("No.")
        return question

    engine = ScriptedEngine()
    engine.on_question = answered
    serve_with(engine)
    job: dict[str, Any] = job_input(twelve_seconds, prompts=["first", "second"])
    del job["prompt"]
    output = await answer(job)
    first, second = output["results"]
    assert [one["text"] for one in first["chunk_results"]] == ["first", None, "first"]
    assert (first["status"], second["status"], output["status"]) == ("partial",) * 3
    assert first["aggregated_response"].startswith("merged")
    assert (second["aggregated_response"], second["aggregation_error"]) == (None, "GENERATION_FAILED: No.")
    assert (first["coverage"], second["coverage"], output["coverage"]) == (0.6667, 0, 0)
    assert output["num_chunks"] == 3
