"""Merges notes on the chunks of a video into one text, in as many rounds as the context needs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from answers.prompts import CUT_MARK, escape_note
from errors import first_of_group
from records import Generation, Message

MIN_NOTES_PER_GROUP = 2
"""A round that does not at least halve the number of notes would never end."""


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
        # In a thread: counting the tokens of a thousand notes takes seconds.
        groups = await asyncio.to_thread(_groups, notes, count_tokens, notes_budget_tokens)
        with first_of_group():
            async with asyncio.TaskGroup() as running:  # one failure cancels the other requests
                requests = [running.create_task(_awaited(generate(message(group)))) for group in groups]
        answers = [request.result() for request in requests]
        done += answers
        if len(groups) == 1:
            return Merged(answers[0].text, tuple(done))
        notes = [escape_note(answer.text) + (CUT_MARK if answer.is_cut else "") for answer in answers]


def _groups(notes: Sequence[str], count_tokens: Callable[[str], int], budget_tokens: int) -> list[list[str]]:
    fitted = [cut(text, budget_tokens // MIN_NOTES_PER_GROUP, count_tokens) for text in notes]
    return group_neighbours([text for text, _ in fitted], [tokens + 1 for _, tokens in fitted], budget_tokens)


async def _awaited(answer: Awaitable[Generation]) -> Generation:
    return await answer


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


def cut(text: str, limit_tokens: int, count_tokens: Callable[[str], int]) -> tuple[str, int]:
    """Return a text and its tokens; one that is longer than the limit is cut to it, and marked as cut."""
    tokens = count_tokens(text)
    if tokens < limit_tokens:
        return text, tokens
    kept_chars = len(text)
    while tokens >= limit_tokens and kept_chars:
        kept_chars = kept_chars * 9 // 10
        tokens = count_tokens(text[:kept_chars] + CUT_MARK)
    return text[:kept_chars] + CUT_MARK, tokens
