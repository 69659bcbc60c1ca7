"""The caller's own form: JSON that fulfils a schema of theirs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from answers import prompts
from answers.forms.base import Reading
from answers.schema.objects import FILLED_IN_ITEMS
from records import Answer, AnswerSchema, Chunk, Generation, Json, Message, Question, Schema

INSTRUCTION = "Answer with JSON of this schema: {}"


class OwnSchema:
    """What `response_schema` describes, for each chunk and for the video.

    Lists are united: the video's list holds what the chunks' lists hold, each entry once. So is an object that holds
    lists alone. Everything else is asked again of the notes on all chunks, and so are lists of limited length.
    """

    def chunk_message(self, question: Question, chunk: Chunk) -> Message:
        """Ask the question, and show the schema."""
        return prompts.chunk_message(_with_schema(question), chunk, question.system)

    def chunk_schema(self, question: Question, _stamps_s: Sequence[float]) -> AnswerSchema | None:
        """The caller's."""
        return question.schema

    def read(self, _chunk: Chunk, _generation: Generation, told: Json) -> Reading:
        """Return the JSON as it is."""
        return Reading(told, is_full=_holds_full_list(told))

    def united(self, question: Question, answers: Sequence[Answer]) -> Reading | None:
        """Return the single chunk's answer, or the united lists."""
        if len(answers) == 1:
            return Reading(answers[0].value)
        values, schema = [answer.value for answer in answers if answer.is_answered], _meaning(question)
        if _is_open_list(schema):
            return Reading(_each_once(cast("list[list[Json]]", values)))
        properties = schema.get("properties")
        is_object = schema.get("type", "object") == "object" and not _may_be_null(schema)
        if not is_object or not isinstance(properties, dict) or not all(map(_is_open_list, properties.values())):
            return None
        objects = cast("list[dict[str, list[Json]]]", values)
        names = [name for name in properties if any(name in one for one in objects)]
        return Reading({name: _each_once([one.get(name, []) for one in objects]) for name in names})

    def note(self, answer: Answer) -> str:
        """Return the chunk's span and its JSON."""
        return prompts.note(answer.chunk, json.dumps(answer.value, ensure_ascii=False) if answer.is_answered else None)

    def merge_message(self, question: Question, notes: Sequence[str]) -> Message:
        """Ask the question of the chunks' answers."""
        return prompts.merge_message(_with_schema(question), notes, question.system)

    def merge_schema(self, question: Question, _answers: Sequence[Answer]) -> AnswerSchema | None:
        """The caller's."""
        return question.schema

    def read_merged(self, _answers: Sequence[Answer], told: Json) -> Json:
        """Return the JSON as it is."""
        return told


def _with_schema(question: Question) -> str:
    return f"{question.text}\n\n{INSTRUCTION.format(json.dumps(_meaning(question), ensure_ascii=False))}"


def _meaning(question: Question) -> Schema:
    return question.schema.meaning if question.schema else {}


def _is_open_list(schema: object) -> bool:
    """Whether a schema is that of a list to which any number of entries may be added."""
    if not isinstance(schema, Mapping) or schema.get("type") != "array" or _may_be_null(schema):
        return False
    return not {"prefixItems", "maxItems"} & schema.keys()


def _may_be_null(schema: Mapping[str, object]) -> bool:
    """Whether OpenAPI's `nullable` lets null stand in the place of the list or the object."""
    return schema.get("nullable") is True


def _holds_full_list(told: Json) -> bool:
    """Whether a list has as many entries as one may have for which the caller's schema names no limit."""
    if isinstance(told, list):
        return len(told) == FILLED_IN_ITEMS or any(map(_holds_full_list, told))
    return isinstance(told, dict) and any(map(_holds_full_list, told.values()))


def _each_once(lists: Sequence[Sequence[Json]]) -> list[Json]:
    """The entries of all lists in their order, without those that are equal to one before."""
    entries = [entry for one in lists for entry in one]
    return list({json.dumps(entry, sort_keys=True): entry for entry in entries}.values())
