"""What every form of answer provides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from records import Answer, AnswerSchema, Chunk, Generation, Json, Message, Question


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model's text stands for."""

    value: Json
    left_out: int = 0
    """How many things it tells that cannot be."""
    is_full: bool = False
    """It is a list of as many entries as the schema allows: the model may have had more to tell."""


class Form(Protocol):
    """A form of answer: what the model is told, how its text is read, and how a video's answers become one.

    A form is pure: it knows prompts and text, and neither the engine nor the video. A new one is a file beside
    `free_text.py` and a line in the table of `answers.forms`.
    """

    def chunk_message(self, question: Question, chunk: Chunk) -> Message:
        """Return the message that asks the question of one chunk's frames."""

    def chunk_schema(self, question: Question, stamps_s: Sequence[float]) -> AnswerSchema | None:
        """Return what the answer about frames with some time stamps must be; None for free text."""

    def read(self, chunk: Chunk, generation: Generation, told: Json) -> Reading:
        """Return what the answer about a chunk stands for.

        Args:
            chunk: that was asked about.
            generation: the model's.
            told: its text, or what the JSON in it holds, which fulfils the schema.
        """

    def united(self, question: Question, answers: Sequence[Answer]) -> Reading | None:
        """Return the answer about the whole video, or None if only the model can make it: see MergedByModel.

        Args:
            question: the one that was asked.
            answers: one for every chunk, in order; at least one has a value.
        """


@runtime_checkable
class MergedByModel(Form, Protocol):
    """A form of which the model makes one answer about the video of notes on its chunks."""

    def note(self, answer: Answer) -> str:
        """Return one chunk's answer, or the fact that there is none, as a note for the merge."""

    def merge_message(self, question: Question, notes: Sequence[str]) -> Message:
        """Return the message that asks the question of the notes on all chunks, which are in time order."""

    def merge_schema(self, question: Question, answers: Sequence[Answer]) -> AnswerSchema | None:
        """Return what the merged answer must be; None for free text."""

    def read_merged(self, answers: Sequence[Answer], told: Json) -> Json:
        """Return what the merged answer stands for.

        Args:
            answers: those that were merged.
            told: the model's text, or what the JSON in it holds, which fulfils the schema.
        """
