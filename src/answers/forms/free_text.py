"""Free text: the model answers in its own words."""

from collections.abc import Sequence

from answers import prompts
from records import Answer, Chunk, Message, Question


class FreeText:
    """The form of every answer for which the caller names no other."""

    def chunk_message(self, question: Question, chunk: Chunk) -> Message:
        """Ask for whatever the chunk shows of the answer."""
        return prompts.chunk_message(question.text, chunk)

    def parse(self, text: str) -> str:
        """Return the text as it is."""
        return text

    def note(self, answer: Answer) -> str:
        """Return the chunk's span and its text."""
        return prompts.note(answer.chunk, answer.value, is_cut=answer.is_cut)

    def merge_message(self, question: Question, notes: Sequence[str]) -> Message:
        """Ask for one text that keeps the times of the notes."""
        return prompts.merge_message(question.text, notes)
