"""Answers in a form that a program reads, from the real engine: it can write nothing else."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from answers.ask import read_told
from answers.forms.happenings import Events, When
from jobs import answer, job_input
from records import GenerationOptions, Question
from synthetic_frames import frame_batch
from vision import stamps_s
from vllm_client import VLLMClient

QUESTION = Question(0, "List the scenes.")
# Nothing but the grammar makes a model of this temperature write what it writes.
HOT = GenerationOptions(max_tokens=4000, temperature=1.5, top_p=1, seed=None)


async def answered(video: Path, **changes: Any) -> dict[str, Any]:
    return await answer(job_input(video, temperature=0.0, max_tokens=400, **changes))


@pytest.mark.parametrize("form", [Events(), When()])
@pytest.mark.parametrize("start_s", [0, 12_345.6])
async def test_the_model_can_write_no_time_that_it_was_not_shown(
    client: VLLMClient, form: Events, start_s: float
) -> None:
    engine: Any = await client.initialize_model()
    batch = frame_batch(24, 64, 96, start_s=start_s)
    shown_s = stamps_s(batch.times_s.tolist())
    schema = form.chunk_schema(QUESTION, shown_s)
    assert schema
    of_four = {**schema.for_engine, "minItems": 4, "maxItems": 4}  # of itself, the test model would write none
    generation = await engine.generate_on_frames(
        form.chunk_message(QUESTION, batch.chunk), batch, replace(HOT, schema=of_four)
    )
    told = read_told(generation, schema)
    reading = form.read(batch.chunk, generation, told)
    value: Any = reading.value
    assert isinstance(told, list)
    assert len(value) + reading.left_out == len(told) == 4
    for one in value:
        assert {one["start_s"], one["end_s"]} <= set(shown_s)
        assert one["start_s"] <= one["end_s"]
        assert 0 < one["confidence"] <= 1


@pytest.mark.usefixtures("worker")
async def test_a_job_of_events_returns_lists(twelve_seconds: Path) -> None:
    output = await answered(twelve_seconds, output="events")
    assert output["status"] == "complete"
    assert all(chunk["text"] is None and isinstance(chunk["value"], list) for chunk in output["chunk_results"])
    assert isinstance(output["aggregated_response"], list)


@pytest.mark.usefixtures("worker")
async def test_the_callers_schema_holds_in_every_chunk_and_in_the_merged_answer(twelve_seconds: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "green", "blue"]},
            "count": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    output = await answered(twelve_seconds, response_schema=schema)
    values = [*(chunk["value"] for chunk in output["chunk_results"]), output["aggregated_response"]]
    assert all(one.keys() == {"colour", "count"} for one in values)
    assert all(one["colour"] in {"red", "green", "blue"} and 0 <= one["count"] <= 9 for one in values)


@pytest.mark.usefixtures("worker")
async def test_an_answer_that_never_gets_its_form_is_an_error_of_its_chunk(twelve_seconds: Path) -> None:
    schema = {"type": "string", "minLength": 40, "maxLength": 80}
    output = await answer(job_input(twelve_seconds, max_tokens=1, response_schema=schema, chunk_duration=60.0))
    assert output["error"].startswith("ALL_CHUNKS_FAILED: None of 1 chunks was answered.")
    assert "ANSWER_INVALID: The answer was cut before its end." in output["error"]


class Vehicle(BaseModel):
    kind: Literal["car", "boat"]
    doors: int | None = Field(ge=0, le=9)


class Sighting(BaseModel):
    """As pydantic writes it: definitions, references and a list of limited length."""

    seen: bool
    share: float = Field(ge=0, le=1)
    day: dt.date
    vehicles: list[Vehicle] = Field(max_length=3)
    place: tuple[int, int] | None = None


def strict(model: type[BaseModel]) -> dict[str, Any]:
    """As the OpenAI SDK sends it: nothing else allowed, everything required."""
    schema = model.model_json_schema()
    for one in (schema, *schema["$defs"].values()):
        one |= {"additionalProperties": False, "required": list(one["properties"])}
    return schema


ZOD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "mood": {"type": "string", "enum": ["calm", "busy"]},
        "people": {"type": "integer", "minimum": 0, "maximum": 9007199254740991},
        "colour": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]},
    },
    "required": ["mood", "people", "colour"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "schema", [Sighting.model_json_schema(), strict(Sighting), ZOD], ids=["pydantic", "openai", "zod"]
)
@pytest.mark.usefixtures("worker")
async def test_schemas_as_callers_libraries_write_them_give_valid_objects(
    twelve_seconds: Path, schema: dict[str, Any]
) -> None:
    """From chunks and from the merge; the model is hot, so that nothing but the grammar makes it write them."""
    job = job_input(twelve_seconds, response_schema=schema, temperature=1.5, max_tokens=300, chunk_duration=6.0)
    output = await answer(job)
    assert (output["num_chunks"], output["aggregated_by"]) == (2, "model")
    for value in (*(chunk["value"] for chunk in output["chunk_results"]), output["aggregated_response"]):
        Draft202012Validator(schema).validate(value)
        if schema is not ZOD:
            Sighting.model_validate(value)
