"""Merges notes on the chunks of a video into one text, in as many rounds as the context needs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from answers.prompts import escape_note
from records import Generation, Message

MIN_NOTES_PER_GROUP = 2
"""A round that does not at least halve the number of notes would never end."""
CUT_MARK = " [cut here]"


@dataclass(frozen=True, slots=True)
class Merged:
    """One text about the whole video, and the requests it took."""

    text: str
    generations: tuple[Generation, ...]


async def merge(
    notes: Sequence[str],
    message: Callable[[Sequence[str]], Message],
    generate: Callable[[Message], Awaitable[Generation]],
    count_tokens: Callable[[str], int],
    notes_budget_tokens: int,
) -> Merged:
    """Merge notes until one text is left.

    Notes that do not fit one prompt are merged in groups of neighbours, and the answers about the groups are merged
    again. A note longer than half of the budget is cut, and says so.

    Args:
        notes: in time order.
        message: makes the prompt for a group of notes.
        generate: asks the model.
        count_tokens: counts the tokens of a text.
        notes_budget_tokens: what a prompt can hold besides the question and the instructions.
    """
    done: list[Generation] = []
    while True:
        notes = [cut(text, notes_budget_tokens // MIN_NOTES_PER_GROUP, count_tokens) for text in notes]
        groups = group_neighbours(notes, [count_tokens(text) + 1 for text in notes], notes_budget_tokens)
        answers = await asyncio.gather(*(generate(message(group)) for group in groups))
        done += answers
        if len(groups) == 1:
            return Merged(answers[0].text, tuple(done))
        notes = [escape_note(answer.text) for answer in answers]


def group_neighbours(notes: Sequence[str], sizes: Sequence[int], budget: int) -> list[list[str]]:
    """Cut a sequence into runs whose sizes add up to at most the budget, with at least two notes in each run.

    >>> group_neighbours(["a", "b", "c", "d"], [4, 4, 4, 4], budget=8)
    [['a', 'b'], ['c', 'd']]
    """
    groups: list[list[str]] = []
    used = budget
    for text, size in zip(notes, sizes, strict=True):
        if not groups or (used + size > budget and len(groups[-1]) >= MIN_NOTES_PER_GROUP):
            groups.append([])
            used = 0
        groups[-1].append(text)
        used += size
    return groups


def cut(text: str, limit_tokens: int, count_tokens: Callable[[str], int]) -> str:
    """Return a text that is longer than the limit cut to it and marked as cut; return other texts unchanged."""
    if count_tokens(text) < limit_tokens:
        return text
    kept_chars = len(text)
    while count_tokens(text[:kept_chars] + CUT_MARK) >= limit_tokens and kept_chars:
        kept_chars = kept_chars * 9 // 10
    return text[:kept_chars] + CUT_MARK
