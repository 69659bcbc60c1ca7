"""Questions, and what is answered to them about chunks and about the video."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from records.generation import AnswerSchema, Generation, Json
from records.plan import Chunk
from records.watched import Watched


@dataclass(frozen=True, slots=True)
class Question:
    """One question about the whole video."""

    index: int
    text: str
    form: str = "text"
    """The name of the form of its answers; see answers.forms."""
    system: str | None = None
    """What the model is told to be; None for the worker's own text."""
    schema: AnswerSchema | None = None
    """The caller's form of the answer, with form `schema`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model answered to one question about one chunk, or why there is no answer."""

    watched: Watched
    """The frames that the model was shown; fewer than were decoded if the answer took a second try."""
    question: int
    """The question's index."""
    form: str
    """The question's form of answer."""
    value: Json = None
    """A text, or what the form says."""
    error: str | None = None
    """Why there is no value, as `CODE: sentence`."""
    generations: tuple[Generation, ...] = ()
    """The finished requests that the answer took."""
    discarded: tuple[Generation, ...] = ()
    """Finished requests before them whose text was not of the asked form."""
    left_out: int = 0
    """How many things the model told that cannot be: they end before they begin."""
    is_full: bool = False
    """The value is or holds a list as long as lists may be: the model may have had more to tell."""

    @classmethod
    def missing(cls, watched: Watched, question: Question, error: str) -> Self:
        """Return what stands in place of the answer about a chunk that was not answered."""
        return cls(watched, question.index, question.form, error=error)

    @property
    def chunk(self) -> Chunk:
        """The chunk that was asked about."""
        return self.watched.chunk

    @property
    def is_answered(self) -> bool:
        """Whether there is a value."""
        return self.error is None

    @property
    def is_cut(self) -> bool:
        """Whether the value ends before the model had finished."""
        return any(generation.is_cut for generation in self.generations)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The answer to one question about the whole video, merged from the chunks', or why there is none."""

    question: int
    value: Json = None
    """A text, or what the question's form says."""
    error: str | None = None
    """Why the answers were not merged, as `CODE: sentence`."""
    generations: tuple[Generation, ...] = ()
    discarded: tuple[Generation, ...] = ()
    """Finished requests before them that led to no answer of the asked form."""

    @property
    def is_cut(self) -> bool:
        """Whether the model was cut off in any round of the merge: what it would have gone on to say is missing."""
        return any(generation.is_cut for generation in self.generations)
