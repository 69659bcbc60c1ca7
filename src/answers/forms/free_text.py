"""Free text: the model answers in its own words."""

from collections.abc import Sequence

from answers import prompts
from answers.forms.base import Reading
from records import Answer, AnswerSchema, Chunk, Generation, Json, Message, Question


class FreeText:
    """The form of every answer for which the caller names no other."""

    def chunk_message(self, question: Question, chunk: Chunk) -> Message:
        """Ask for whatever the chunk shows of the answer."""
        return prompts.chunk_message(question.text, chunk, question.system)

    def chunk_schema(self, _question: Question, _stamps_s: Sequence[float]) -> AnswerSchema | None:
        """Nothing holds the model's words."""
        return None

    def read(self, _chunk: Chunk, _generation: Generation, told: Json) -> Reading:
        """Return the text as it is."""
        return Reading(told)

    def united(self, _question: Question, answers: Sequence[Answer]) -> Reading | None:
        """Return the answer about a single chunk, which is the answer about the video."""
        return Reading(answers[0].value) if len(answers) == 1 else None

    def note(self, answer: Answer) -> str:
        """Return the chunk's span and its text."""
        text = answer.value if isinstance(answer.value, str) else None
        return prompts.note(answer.chunk, text, is_cut=answer.is_cut)

    def merge_message(self, question: Question, notes: Sequence[str]) -> Message:
        """Ask for one text that keeps the times of the notes."""
        return prompts.merge_message(question.text, notes, question.system)

    def merge_schema(self, _question: Question, _answers: Sequence[Answer]) -> AnswerSchema | None:
        """Nothing holds the model's words."""
        return None

    def read_merged(self, _answers: Sequence[Answer], told: Json) -> Json:
        """Return the text as it is."""
        return told
