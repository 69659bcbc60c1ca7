"""What the parts of the schema guard share: the refusal, the limits, and what a counting keyword must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_BYTES: Final = 16_384
"""As compact JSON, annotations included."""
MAX_DEPTH: Final = 12
MAX_NODES: Final = 400
"""Schemas inside the schema, each counted once for every reference to it."""
MAX_REFERENCES: Final = 24
"""Followed on the way to one part."""
MAX_ENGINE_BYTES: Final = 65_536
"""With every reference written out. guidance compiled three times as much within 0.5 s."""
MAX_VALUES: Final = 500
MAX_COUNT: Final = 200
MAX_LENGTH: Final = 2_000
MAX_NUMBER: Final = 10**12
SHOWN_PATH_CHARACTERS: Final = 60
SHOWN_NAME_CHARACTERS: Final = 30


class SchemaRefused(ValueError):
    """A schema that the engine must not see; the message is one sentence for the caller."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{shown(where, SHOWN_PATH_CHARACTERS) or '/'}: {what}.")


def shown(text: str, most: int = SHOWN_NAME_CHARACTERS) -> str:
    """Return a caller's text as far as a message may repeat it."""
    printable = "".join(character if character.isprintable() else "?" for character in text[: most + 1])
    return printable if len(text) <= most else f"{printable[:most]}…"


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the caller's schema something stands, and how it was reached."""

    where: str = ""
    """A JSON pointer."""
    depth: int = 1
    inside: tuple[str, ...] = ()
    """The references followed on the way."""
    straight: tuple[str, ...] = ()
    """Those followed since the last property or item: one that leads back to itself says nothing."""

    def below(self, *names: str | int) -> Place:
        """Return the place of a property or an item."""
        return Place(self._pointer(names), self.depth + 1, self.inside)

    def branch(self, *names: str | int) -> Place:
        """Return the place of a schema for the same value."""
        return Place(self._pointer(names), self.depth + 1, self.inside, self.straight)

    def behind(self, pointer: str) -> Place:
        """Return the place that a reference leads to."""
        return Place(pointer.removeprefix("#"), self.depth, (*self.inside, pointer), (*self.straight, pointer))

    def _pointer(self, names: tuple[str | int, ...]) -> str:
        return "/".join([self.where, *(str(name).replace("~", "~0").replace("/", "~1") for name in names)])


def count(words: Mapping[str, Any], name: str, most: int, where: str, default: int) -> int:
    """Return what a keyword that counts says, or `default` where it is missing."""
    value = words.get(name, default)
    if type(value) is not int or value < 0:  # True is an int to isinstance
        raise SchemaRefused(where, f"{name} must be a whole number, 0 or above")
    if value > most:
        raise SchemaRefused(where, f"{name} is above {most}")
    return value


def range_of(words: Mapping[str, Any], of: str, most: int, where: str, default: int) -> tuple[int, int]:
    """Return the bounds that `minX` and `maxX` give; `default` is the upper one where the caller has none."""
    low = count(words, f"min{of}", most, where, 0)
    high = count(words, f"max{of}", most, where, max(low, default))
    if low > high:
        raise SchemaRefused(where, f"min{of} is above max{of}")
    return low, high
