"""What the engine is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Message:
    """One user turn after a system text. The engine puts the frames or images before `user`."""

    system: str
    user: str


Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]
Schema = dict[str, Any]
"""A JSON Schema, draft 2020-12, that is an object; `true` and `false` are none here."""


@dataclass(frozen=True, slots=True, eq=False)
class AnswerSchema:
    """What an answer must be as JSON."""

    for_engine: Schema
    """What the engine is held to; it allows a part of what the meaning does."""
    meaning: Schema
    """By which answers are judged."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How the engine samples the tokens of one answer."""

    max_tokens: int
    temperature: float
    """0 is greedy decoding."""
    top_p: float
    seed: int | None
    top_k: int = 20
    """0 for no limit."""
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    """Texts before which the answer ends."""
    schema: Schema | None = None
    """What the answer must be as JSON; None for free text."""

    def roomier(self) -> GenerationOptions:
        """Return the same options with room for an answer of four times the length."""
        return replace(self, max_tokens=4 * self.max_tokens)


class TokenProbability(NamedTuple):
    """How sure the model was of one token."""

    end: int
    """Where the token ends in the text, in characters."""
    log_probability: float


@dataclass(frozen=True, slots=True)
class Generation:
    """One finished request of the engine."""

    text: str
    finish_reason: Literal["stop", "length", "repetition"]
    """`stop` at a natural end, `length` when max_tokens or the context cut it, `repetition` when it ran in a loop."""
    prompt_tokens: int
    completion_tokens: int
    render_s: float
    """From submission to the request in the engine: tokenising and preprocessing."""
    generate_s: float
    """From the request in the engine to its last token."""
    cached_tokens: int = 0
    """How many of the prompt's tokens the engine had computed before."""
    log_probabilities: tuple[TokenProbability, ...] = ()
    """Of the tokens of the text, in order, where a schema held it."""

    @property
    def is_cut(self) -> bool:
        """Whether the text ends before the model had finished."""
        return self.finish_reason != "stop"
