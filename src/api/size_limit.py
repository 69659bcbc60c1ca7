"""Keeps a result small enough for the platform, which drops a larger one without a word."""

import json
from collections.abc import Sequence
from typing import Any

MAX_RESULT_BYTES = 9_500_000
"""RunPod takes 10 MB; its own wrapping needs a little."""
CUT = " [cut: the whole result was too large]"
CONCESSION = "chunk answers cut, because the whole result was too large for the platform"


def truncate_to_limit(output: dict[str, Any]) -> dict[str, Any]:
    """Return a job's output, its longest chunk answers cut if it is too large; its concessions then say so.

    The merged answer is never cut: max_tokens bounds it.
    """
    size_bytes = _size_bytes(output)
    if size_bytes <= MAX_RESULT_BYTES:
        return output
    holders = [output, *(output["results"] or ())]
    texts = [chunk["text"] or "" for holder in holders for chunk in holder["chunk_results"]]
    sizes_bytes = [_size_bytes(text) for text in texts]
    other_bytes = size_bytes - sum(sizes_bytes) + len(texts) * len(CUT) + len(CONCESSION) + 4
    limit_bytes = _longest_that_fits(sizes_bytes, MAX_RESULT_BYTES - other_bytes)
    shortened = [_shortened(holder["chunk_results"], limit_bytes) for holder in holders]
    job, *results = ({**one, "chunk_results": chunks} for one, chunks in zip(holders, shortened, strict=True))
    return {**job, "results": results or None, "concessions": [*output["concessions"], CONCESSION]}


def _shortened(chunks: Sequence[dict[str, Any]], limit_bytes: int) -> list[dict[str, Any]]:
    return [
        chunk | {"text": _cut(chunk["text"], limit_bytes)}
        if chunk["text"] and _size_bytes(chunk["text"]) > limit_bytes
        else chunk
        for chunk in chunks
    ]


def _longest_that_fits(sizes_bytes: Sequence[int], room_bytes: int) -> int:
    """Return the length to which the longest texts have to be cut for all to fit."""
    for done, size_bytes in enumerate(sorted(sizes_bytes)):
        share_bytes = room_bytes // (len(sizes_bytes) - done)
        if size_bytes > share_bytes:
            return max(0, share_bytes)
        room_bytes -= size_bytes
    return max(sizes_bytes, default=0)


def _cut(text: str, limit_bytes: int) -> str:
    while (size_bytes := _size_bytes(text)) > limit_bytes and text:
        text = text[: min(len(text) - 1, len(text) * limit_bytes // size_bytes)]
    return text + CUT


def _size_bytes(part: object) -> int:
    return len(json.dumps(part))
