"""Merges notes on the parts of a video into one answer, in as many rounds as the context needs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from answers import prompts
from answers.prompts import Message
from records import Generation, Synthesis

MIN_NOTES_PER_GROUP = 2
"""A round that does not at least halve the notes would never end."""
CUT_MARK = " [cut here]"


async def merge(
    question: str,
    notes: Sequence[str],
    generate: Callable[[Message], Awaitable[Generation]],
    count_tokens: Callable[[str], int],
    notes_budget_tokens: int,
) -> Synthesis:
    """Answer the question from the notes.

    Notes that do not fit one prompt are merged in groups of neighbours, and the answers on the groups
    are merged again, until one is left. A note of more than half the budget is cut, and says so.

    Args:
        question: the user's.
        notes: in time order.
        generate: asks the model.
        count_tokens: of a text.
        notes_budget_tokens: what a prompt can hold besides the question and the instructions.
    """
    done: list[Generation] = []
    while True:
        notes = [cut(text, notes_budget_tokens // MIN_NOTES_PER_GROUP, count_tokens) for text in notes]
        groups = group_neighbours(notes, [count_tokens(text) + 1 for text in notes], notes_budget_tokens)
        answers = await asyncio.gather(*(generate(prompts.merge_message(question, group)) for group in groups))
        done += answers
        if len(groups) == 1:
            return Synthesis(answers[0].text, tuple(done))
        notes = [prompts.quoted(answer.text) for answer in answers]


def group_neighbours(notes: Sequence[str], sizes: Sequence[int], budget: int) -> list[list[str]]:
    """Cut a sequence into runs whose sizes add up to at most the budget, but of at least two notes each.

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
    """Return the beginning of a text that is longer than the limit, marked as cut; other texts as they are."""
    if count_tokens(text) < limit_tokens:
        return text
    kept_chars = len(text)
    while count_tokens(text[:kept_chars] + CUT_MARK) >= limit_tokens and kept_chars:
        kept_chars = kept_chars * 9 // 10
    return text[:kept_chars] + CUT_MARK
