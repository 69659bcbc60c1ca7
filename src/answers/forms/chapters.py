"""Chapters: successive parts of the video, each with a title, which leave nothing out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

from answers import prompts
from answers.forms.base import Reading
from records import Answer, AnswerSchema, Chunk, Generation, Json, Message, Question

MAX_CHAPTERS = 40
"""Of a chunk, and of the video."""
MAX_TITLE_CHARACTERS = 120
MAX_STARTS = 500
"""As many as the model may choose from: a schema with more takes the engine long."""
OF_A_CHUNK = (
    "Answer with a JSON list of chapters, in the order of time: start_s is the time that stands before the chapter's "
    "first frames, and title says in a few words what it is about. Begin a chapter only where the subject changes."
)
OF_THE_VIDEO = (
    "Answer with a JSON list of the chapters of the whole video, in the order of time: start_s is one of the times in "
    "the notes, and title says in a few words what the chapter is about. Neighbours with one subject are one chapter."
)


class Chapters:
    """A list of chapters, each `start_s, end_s, title`, which partition what was looked at."""

    def chunk_message(self, question: Question, chunk: Chunk) -> Message:
        """Ask for the chapters that begin in the chunk."""
        return prompts.chunk_message(f"{question.text}\n\n{OF_A_CHUNK}", chunk, question.system)

    def chunk_schema(self, _question: Question, stamps_s: Sequence[float]) -> AnswerSchema | None:
        """A chapter begins at a time that the model was shown."""
        return _schema(stamps_s)

    def read(self, chunk: Chunk, _generation: Generation, told: Json) -> Reading:
        """Make the chapters partition the chunk; those that begin in the next one are that one's."""
        begun = [one for one in _chapters(told) if _start_s(one) < chunk.end_s]
        is_full = len(_chapters(told)) == MAX_CHAPTERS
        return Reading(_partition(begun or _chapters(told)[:1], chunk.start_s, chunk.end_s), is_full=is_full)

    def united(self, _question: Question, answers: Sequence[Answer]) -> Reading | None:
        """Return the chapters of a single chunk, which are the video's."""
        return Reading(answers[0].value) if len(answers) == 1 else None

    def note(self, answer: Answer) -> str:
        """Return the chunk's span and its chapters, one a line."""
        if not answer.is_answered:
            return prompts.note(answer.chunk, None)
        lines = [f"{_start_s(one):g}: {one['title']}" for one in _chapters(answer.value)]
        return prompts.note(answer.chunk, "\n".join(["chapters begin at", *lines]))

    def merge_message(self, question: Question, notes: Sequence[str]) -> Message:
        """Ask for fewer and longer chapters where neighbours have one subject."""
        return prompts.merge_message(f"{question.text}\n\n{OF_THE_VIDEO}", notes, question.system)

    def merge_schema(self, _question: Question, answers: Sequence[Answer]) -> AnswerSchema | None:
        """A chapter of the video begins where one of a chunk does."""
        values = [answer.value for answer in answers if answer.is_answered]
        starts_s = sorted({_start_s(one) for value in values for one in _chapters(value)})
        every = -(-len(starts_s) // MAX_STARTS)
        return _schema(starts_s[::every])

    def read_merged(self, answers: Sequence[Answer], told: Json) -> Json:
        """Make the chapters partition what was looked at."""
        return _partition(_chapters(told), answers[0].chunk.start_s, answers[-1].chunk.end_s)


def _schema(starts_s: Sequence[float]) -> AnswerSchema:
    entry: Json = {
        "type": "object",
        "properties": {
            "start_s": {"enum": list(starts_s)},
            "title": {"type": "string", "minLength": 1, "maxLength": MAX_TITLE_CHARACTERS},
        },
        "required": ["start_s", "title"],
        "additionalProperties": False,
    }
    schema: dict[str, Json] = {"type": "array", "items": entry, "minItems": 1, "maxItems": MAX_CHAPTERS}
    return AnswerSchema(schema, schema)


def _partition(chapters: Sequence[dict[str, Json]], start_s: float, end_s: float) -> Json:
    """Chapters of which each ends where the next begins, and the first begins at the start; of one time the first."""
    titles: dict[float, Json] = {}
    for one in sorted(chapters, key=_start_s):
        titles.setdefault(_start_s(one), one["title"])
    bounds_s = [start_s, *list(titles)[1:], end_s]
    return [
        {"start_s": round(begin_s, 3), "end_s": round(stop_s, 3), "title": title}
        for (begin_s, stop_s), title in zip(pairwise(bounds_s), titles.values(), strict=True)
    ]


def _chapters(told: Json) -> list[dict[str, Json]]:
    return cast("list[dict[str, Json]]", told)


def _start_s(chapter: dict[str, Json]) -> float:
    return cast("float", chapter["start_s"])
