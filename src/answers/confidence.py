"""How sure the model was of each entry of a list that it wrote as JSON."""

import json
import math
from collections.abc import Iterator

from records import Generation, Json


def entries_with_confidence(generation: Generation) -> Iterator[tuple[Json, float | None]]:
    """Yield the entries of the JSON list that a generation's text is, and how sure the model was of each.

    That is the geometric mean of its tokens' probabilities, 0 to 1: after the schema has ruled out all other tokens,
    and not calibrated. None where the engine gave no probabilities.
    """
    text, decoder = generation.text, json.JSONDecoder()
    at = text.index("[") + 1
    while (at := _after_blanks(text, at)) < len(text) and text[at] != "]":
        entry, end = decoder.raw_decode(text, at)
        yield entry, _confidence(generation, at, end)
        at = _after_blanks(text, end)
        at += at < len(text) and text[at] == ","


def _confidence(generation: Generation, start: int, end: int) -> float | None:
    logs = [token.log_probability for token in generation.log_probabilities if start < token.end <= end]
    return round(math.exp(sum(logs) / len(logs)), 4) if logs else None


def _after_blanks(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip())
