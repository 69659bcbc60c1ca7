"""Tells things once that two neighbouring chunks saw in the span that both of them see."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from records import Chunk

MIN_LIKENESS = 0.5
"""Of 1. Two descriptions are of one thing if they share so many of the words of the shorter one."""
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens from start_s to end_s, both of them times that the model was shown."""

    start_s: float
    end_s: float
    description: str
    """Empty if it is only asked when something happens."""
    chunks: tuple[int, ...]
    """The indices of the chunks that told it: one, or two neighbours."""
    confidence: float | None = None

    @property
    def order(self) -> tuple[float, float, tuple[int, ...], str, float]:
        """By time, and the same in whatever order the chunks were answered."""
        return (self.start_s, self.end_s, self.chunks, self.description, self.confidence or 0.0)


def told_once(happenings: Iterable[Happening], chunks: Sequence[Chunk]) -> list[Happening]:
    """Return what happens in the order of time; what both of two neighbours told of their overlap is one thing.

    One thing of each chunk becomes one with at most one of the next chunk's, the likest first, and what has become one
    stays as it is: a row of things that each touch the next is not drawn together. So the order of the input does not
    matter, and doing it again changes nothing.

    Args:
        happenings: of all chunks.
        chunks: in the order of time.
    """
    alone = [one for one in happenings if len(one.chunks) == 1]
    done = [one for one in happenings if len(one.chunks) > 1]
    by_chunk = {chunk.index: chunk for chunk in chunks}
    told = defaultdict[int, list[Happening]](list)
    for one in alone:
        told[one.chunks[0]].append(one)
    pairs = [
        (-_likeness(earlier, later), earlier.order, later.order, earlier, later)
        for index in [*told]
        for earlier, later in product(told[index], told.get(index + 1, ()))  # not all with all: that takes minutes
        if _may_be_one(earlier, later, by_chunk)
    ]
    taken: set[int] = set()
    for _, _, _, earlier, later in sorted(pairs, key=lambda pair: pair[:3]):
        if not {id(earlier), id(later)} & taken:
            taken |= {id(earlier), id(later)}
            done.append(_joined(earlier, later, by_chunk[later.chunks[0]]))
    return sorted([*done, *(one for one in alone if id(one) not in taken)], key=lambda one: one.order)


def _may_be_one(earlier: Happening, later: Happening, chunks: dict[int, Chunk]) -> bool:
    """Whether two neighbours may have seen one thing in their overlap."""
    if earlier.chunks[0] not in chunks or later.chunks[0] not in chunks:
        return False
    start_s, end_s = chunks[later.chunks[0]].start_s, chunks[earlier.chunks[0]].seen_end_s
    common_start_s, common_end_s = max(earlier.start_s, later.start_s), min(earlier.end_s, later.end_s)
    return (
        start_s < end_s
        and max(common_start_s, start_s) <= min(common_end_s, end_s)
        and _likeness(earlier, later) >= MIN_LIKENESS
    )


def _likeness(one: Happening, other: Happening) -> float:
    words, others = _words(one.description), _words(other.description)
    if not words or not others:
        return float(words == others)
    return len(words & others) / min(len(words), len(others))


@lru_cache(maxsize=10_000)
def _words(description: str) -> frozenset[str]:
    return frozenset(WORD.findall(description.casefold()))


def _joined(earlier: Happening, later: Happening, later_chunk: Chunk) -> Happening:
    """One thing of two, in the words of the chunk that answers for its beginning."""
    told_by = earlier if min(earlier.start_s, later.start_s) < later_chunk.start_s else later
    sure = [one.confidence for one in (earlier, later) if one.confidence is not None]
    return replace(
        told_by,
        start_s=min(earlier.start_s, later.start_s),
        end_s=max(earlier.end_s, later.end_s),
        chunks=(earlier.chunks[0], later.chunks[0]),
        confidence=max(sure, default=None),
    )
