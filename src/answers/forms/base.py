"""What every form of answer provides."""

from collections.abc import Sequence
from typing import Protocol

from records import Answer, Chunk, Message, Question


class Form(Protocol):
    """A form of answer: what the model is told, how its text is read, and how answers are noted for the merge.

    A form is pure: it knows prompts and text, and neither the engine nor the video. A new one is a file beside
    `free_text.py` and a line in the table of `answers.forms`.
    """

    def chunk_message(self, question: Question, chunk: Chunk) -> Message:
        """Return the message that asks the question of one chunk's frames."""

    def parse(self, text: str) -> str:
        """Return the value that the model's text stands for."""

    def note(self, answer: Answer) -> str:
        """Return one chunk's answer, or the fact that there is none, as a note for the merge."""

    def merge_message(self, question: Question, notes: Sequence[str]) -> Message:
        """Return the message that asks the question of the notes on all chunks, which are in time order."""
