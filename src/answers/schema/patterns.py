"""Reads a caller's regular expression as far as needed to know that guidance, Python and JavaScript agree on it."""

import re
from dataclasses import dataclass
from typing import Final

MAX_CHARACTERS: Final = 100
MAX_REPETITIONS: Final = 200
MAX_SIZE: Final = 1_000
"""Single characters and classes once all counted repetitions are written out."""
QUANTIFIER: Final = re.compile(r"(?:([*+?])|\{(\d{1,4})(,(\d{1,4})?)?\})\??", re.ASCII)
KNOWN_ESCAPES: Final = frozenset("dwsSntr" + r"\./-+*?()[]{}|^$:,#&~@=")
"""Left out: `\\b` and `\\<` look around; `\\D` and `\\W` mean other characters in other languages; `\\1` looks back."""
NOT_IN_NEGATED_CLASS: Final = frozenset("dw")
"""As `\\D` and `\\W`: `[^\\w]` holds é in JavaScript and not in Python."""
SET_OPERATIONS: Final = ("[", "&&", "--", "~~")
"""Inside a class these mean something in Rust and something else, or nothing, elsewhere."""


class PatternRefused(ValueError):
    """What is wrong with a pattern, as the end of a sentence."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How many characters a piece of a pattern matches, and how much of an automaton it needs."""

    shortest: int
    longest: int | None
    """None: without end."""
    size: int


EMPTY: Final = Extent(0, 0, 0)
ONE: Final = Extent(1, 1, 1)


def extent_of(pattern: str) -> Extent:
    """Return the extent of the strings in which a pattern is found.

    Raises:
        PatternRefused: the pattern is too large, or guidance or one of the usual languages reads it otherwise.
    """
    if len(pattern) > MAX_CHARACTERS:
        raise PatternRefused(f"pattern has more than {MAX_CHARACTERS} characters")
    reader = _Reader(pattern)
    extent = reader.alternatives()
    if reader.rest:
        raise PatternRefused("pattern has an unmatched )")
    if extent.size > MAX_SIZE:
        raise PatternRefused(f"pattern is larger than {MAX_SIZE} characters once its repetitions are written out")
    is_whole = pattern.startswith("^") and reader.ends_in_anchor and not reader.is_split
    return extent if is_whole else Extent(extent.shortest, None, extent.size)


class _Reader:
    """A recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self.rest = pattern
        self.ends_in_anchor = False
        self.is_split = False
        """Whether there are alternatives outside all groups."""
        self._open_groups = 0

    def alternatives(self) -> Extent:
        """Read up to the end of the group or of the pattern."""
        whole = self._sequence()
        while self._takes("|"):
            self.is_split |= self._open_groups == 0
            other = self._sequence()
            ends = (whole.longest, other.longest)
            longest = None if None in ends else max(end for end in ends if end is not None)
            whole = Extent(min(whole.shortest, other.shortest), longest, whole.size + other.size)
        return whole

    def _sequence(self) -> Extent:
        whole, is_first = EMPTY, True
        while self.rest and self.rest[0] not in "|)":
            piece = self._anchor(is_first=is_first) or self._repeated(self._atom())
            is_first = False
            longest = None if whole.longest is None or piece.longest is None else whole.longest + piece.longest
            whole = Extent(whole.shortest + piece.shortest, longest, whole.size + piece.size)
        return whole

    def _anchor(self, *, is_first: bool) -> Extent | None:
        """Read ^ or $, which guidance knows at the two ends alone."""
        if self._takes("^"):
            if not is_first or self._open_groups:
                raise PatternRefused("pattern has ^ elsewhere than at its beginning")
            return EMPTY
        if self._takes("$"):
            if self._open_groups or (self.rest and self.rest[0] != "|"):
                raise PatternRefused("pattern has $ elsewhere than at its end")
            self.ends_in_anchor = not self.rest
            return EMPTY
        return None

    def _atom(self) -> Extent:
        if self._takes("("):
            return self._group()
        if self._takes("["):
            return self._class()
        if self._takes("\\"):
            self._escape()
            return ONE
        if self.rest[0] in "*+?{}]":
            raise PatternRefused(f"pattern has a {self.rest[0]} that needs a backslash or something before it")
        self.rest = self.rest[1:]
        return ONE

    def _group(self) -> Extent:
        if self.rest.startswith("?") and not self._takes("?:"):
            raise PatternRefused(
                "pattern has a (? group, such as look-around, a flag or a name, which is not supported"
            )
        self._open_groups += 1
        inner = self.alternatives()
        self._open_groups -= 1
        if not self._takes(")"):
            raise PatternRefused("pattern has an unmatched (")
        return inner

    def _class(self) -> Extent:
        is_negated, is_empty = self._takes("^"), True
        while not self._takes("]"):
            if not self.rest or self.rest.startswith(SET_OPERATIONS):
                raise PatternRefused("pattern has an unmatched [ or an operation on sets")
            if self._takes("\\"):
                self._escape(NOT_IN_NEGATED_CLASS if is_negated else frozenset())
            else:
                self.rest = self.rest[1:]
            is_empty = False
        if is_empty:
            raise PatternRefused("pattern has an empty []")
        return ONE

    def _escape(self, not_here: frozenset[str] = frozenset()) -> None:
        name, self.rest = self.rest[:1], self.rest[1:]
        if name not in KNOWN_ESCAPES - not_here:
            raise PatternRefused(f"pattern has \\{name}, which is not supported here")

    def _repeated(self, once: Extent) -> Extent:
        match = QUANTIFIER.match(self.rest)
        if match is None:
            return once
        self.rest = self.rest[match.end() :]
        sign, least, comma, most = match.groups()
        low = int(least or (sign == "+"))
        high = (1 if sign == "?" else None) if sign else int(most) if most else None if comma else low
        if max(low, high or 0) > MAX_REPETITIONS or low > (low if high is None else high):
            raise PatternRefused(f"pattern has a repetition that is above {MAX_REPETITIONS} or ends before it begins")
        longest = None if high is None or once.longest is None else once.longest * high
        return Extent(once.shortest * low, longest, once.size * max(low, high or 0, 1))

    def _takes(self, start: str) -> bool:
        is_there = self.rest.startswith(start)
        if is_there:
            self.rest = self.rest[len(start) :]
        return is_there
