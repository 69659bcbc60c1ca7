"""Reads JSON from a process that is not trusted: nothing is converted, every value has a type and bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import fields
from fractions import Fraction
from typing import Any

MAX_MESSAGE_LENGTH = 65_536
"""In bytes or characters."""
MAX_WORD_CHARACTERS = 100
INT64_MAX = 2**63 - 1
FRACTION = re.compile(r"(\d{1,19})/(\d{1,19})", re.ASCII)
"""Exponents are left out: 1e30000000 takes seconds to become a Fraction."""


class InvalidMessage(ValueError):
    """A message that the other side must not send."""


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Parse one JSON object.

    Raises:
        InvalidMessage: it is too long, not JSON, or not an object.
    """
    if len(text) > MAX_MESSAGE_LENGTH:
        raise InvalidMessage("too long")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidMessage("not JSON") from exc
    if not isinstance(message, dict):
        raise InvalidMessage("not a JSON object")
    return message


class CheckedFields:
    """Access to a JSON object that must have exactly the fields of a dataclass.

    Every method raises InvalidMessage where a value is not what its name and bounds say.
    """

    def __init__(self, message: object, record: type[Any]) -> None:
        if not isinstance(message, dict) or message.keys() != {field.name for field in fields(record)}:
            raise InvalidMessage(f"not the fields of {record.__name__}")
        self._message = message

    def value(self, name: str) -> object:
        """A value of any type."""
        return self._message[name]

    def integer(self, name: str, least: int, most: int = INT64_MAX) -> int:
        """An integer between two bounds, both included."""
        value = self._message[name]
        if type(value) is not int or not least <= value <= most:  # True is an int to isinstance
            raise InvalidMessage(f"{name} is no integer from {least} to {most}")
        return value

    def integers(self, name: str, least: int, most: int = INT64_MAX) -> tuple[int, ...]:
        """A list of integers between two bounds, both included."""
        values = self._message[name]
        if not isinstance(values, list) or not all(type(value) is int and least <= value <= most for value in values):
            raise InvalidMessage(f"{name} is no list of integers from {least} to {most}")
        return tuple(values)

    def seconds(self, name: str, *, can_be_zero: bool = True) -> float:
        """A finite number that is not negative."""
        value = self._message[name]
        if type(value) not in {int, float} or not 0 <= value <= INT64_MAX or not (value or can_be_zero):
            raise InvalidMessage(f"{name} is no number of seconds")
        return float(value)

    def fraction(self, name: str) -> Fraction:
        """A positive fraction, written "n/d"."""
        value = self._message[name]
        match = FRACTION.fullmatch(value) if isinstance(value, str) else None
        if match is None or not int(match[1]) or not int(match[2]):
            raise InvalidMessage(f"{name} is no positive fraction")
        return Fraction(int(match[1]), int(match[2]))

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._message[name]
        if not isinstance(value, bool):
            raise InvalidMessage(f"{name} is neither true nor false")
        return value

    def items(self, name: str, most: int) -> list[object]:
        """A list of at most so many values of any type."""
        value = self._message[name]
        if not isinstance(value, list) or len(value) > most:
            raise InvalidMessage(f"{name} is no list of at most {most} values")
        return value

    def word(self, name: str) -> str:
        """A short text."""
        value = self._message[name]
        if not isinstance(value, str) or not 0 < len(value) <= MAX_WORD_CHARACTERS:
            raise InvalidMessage(f"{name} is no short text")
        return value

    def words(self, name: str, allowed: Collection[str]) -> tuple[str, ...]:
        """A list of words out of a few, each at most once."""
        value = self._message[name]
        is_list = isinstance(value, list) and all(isinstance(word, str) and word in allowed for word in value)
        if not is_list or len(set(value)) < len(value):
            raise InvalidMessage(f"{name} is no list of words out of {', '.join(allowed)}")
        return tuple(value)
