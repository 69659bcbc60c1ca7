"""Forms that are lists of things with times: events in words, and the spans in which one thing is seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

from answers import prompts
from answers.confidence import entries_with_confidence
from answers.forms.base import Reading
from answers.overlaps import Happening, told_once
from records import Answer, AnswerSchema, Chunk, Generation, Json, Message, Question

MAX_ENTRIES = 40
"""Of one chunk."""
MAX_DESCRIPTION_CHARACTERS = 300
TIMES = "start_s and end_s are two of the times that stand before the frames"


class Events:
    """A list of events, each `start_s, end_s, description, chunk, confidence`, in the order of time."""

    instruction: ClassVar = (
        "Answer with a JSON list of events, in the order of time. "
        f"{TIMES}; description says in one sentence what happens. If nothing of the kind is seen, the list is empty."
    )
    texts: ClassVar[dict[str, Json]] = {
        "description": {"type": "string", "minLength": 1, "maxLength": MAX_DESCRIPTION_CHARACTERS}
    }
    """What an entry has besides its times."""

    def chunk_message(self, question: Question, chunk: Chunk) -> Message:
        """Ask for the list."""
        return prompts.chunk_message(f"{question.text}\n\n{self.instruction}", chunk, question.system)

    def chunk_schema(self, _question: Question, stamps_s: Sequence[float]) -> AnswerSchema | None:
        """The times are those that the model was shown: it can write no other."""
        stamp: Json = {"enum": list(stamps_s)}
        properties: dict[str, Json] = {"start_s": stamp, "end_s": stamp, **self.texts}
        entry: Json = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        schema: dict[str, Json] = {"type": "array", "items": entry, "maxItems": MAX_ENTRIES}
        return AnswerSchema(schema, schema)

    def read(self, chunk: Chunk, generation: Generation, _told: Json) -> Reading:
        """Leave out what ends before it begins, which no schema can forbid; the rest in the order of time."""
        told = [(cast("dict[str, Json]", one), sure) for one, sure in entries_with_confidence(generation)]
        value = [{**one, "chunk": chunk.index, "confidence": sure} for one, sure in told if _is_span(one)]
        value.sort(key=lambda one: (cast("float", one["start_s"]), cast("float", one["end_s"])))
        return Reading(cast("Json", value), len(told) - len(value), is_full=len(told) == MAX_ENTRIES)

    def united(self, _question: Question, answers: Sequence[Answer]) -> Reading | None:
        """Return all chunks' entries; what two neighbours saw in their overlap is told once."""
        told = [_happening(one) for answer in answers if answer.is_answered for one in _entries(answer)]
        once = told_once(told, [answer.chunk for answer in answers])
        return Reading([self._entry(one) for one in self._arranged(once)])

    def _arranged(self, happenings: list[Happening]) -> list[Happening]:
        return happenings

    def _entry(self, one: Happening) -> dict[str, Json]:
        texts: dict[str, Json] = {"description": one.description} if self.texts else {}
        times: dict[str, Json] = {"start_s": one.start_s, "end_s": one.end_s}
        return {**times, **texts, "chunk": one.chunks[0], "confidence": one.confidence}


class When(Events):
    """The spans in which one thing is seen, each `start_s, end_s, chunk, confidence`, the surest first."""

    instruction = (
        f"Answer with a JSON list of the spans in which this is seen. {TIMES}. If it is not seen, the list is empty."
    )
    texts: ClassVar[dict[str, Json]] = {}

    def _arranged(self, happenings: list[Happening]) -> list[Happening]:
        return sorted(happenings, key=lambda one: (-(one.confidence or 0), one.order))


def _is_span(entry: dict[str, Json]) -> bool:
    return cast("float", entry["start_s"]) <= cast("float", entry["end_s"])


def _entries(answer: Answer) -> list[dict[str, Json]]:
    return cast("list[dict[str, Json]]", answer.value)


def _happening(entry: dict[str, Json]) -> Happening:
    return Happening(
        start_s=cast("float", entry["start_s"]),
        end_s=cast("float", entry["end_s"]),
        description=cast("str", entry.get("description", "")),
        chunks=(cast("int", entry["chunk"]),),
        confidence=cast("float | None", entry["confidence"]),
    )
