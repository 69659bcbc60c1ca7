"""Keeps a result small enough for the platform, which drops a larger one without a word."""

import json
from collections.abc import Sequence

from api.output import JobOutput

MAX_RESULT_BYTES = 9_500_000
"""RunPod takes 10 MB; its own wrapping needs a little."""
CUT = " [cut: the whole result was too large]"


def deliverable(output: JobOutput) -> JobOutput:
    """The same output, or one whose longest chunk answers are cut, which it says in its concessions.

    The merged answer is never cut: max_tokens bounds it.
    """
    size_bytes = _size_bytes(output.model_dump(mode="json"))
    if size_bytes <= MAX_RESULT_BYTES:
        return output
    texts = [chunk.text or "" for chunk in output.chunk_results]
    sizes = [_size_bytes(text) for text in texts]
    note = "chunk answers cut, because the whole result was too large for the platform"
    other_bytes = size_bytes - sum(sizes) + len(texts) * len(CUT) + len(note) + 4
    limit_bytes = _longest_that_fits(sizes, MAX_RESULT_BYTES - other_bytes)
    chunks = [
        chunk.model_copy(update={"text": _cut(text, limit_bytes)}) if text and size > limit_bytes else chunk
        for chunk, text, size in zip(output.chunk_results, texts, sizes, strict=True)
    ]
    return output.model_copy(update={"chunk_results": chunks, "concessions": [*output.concessions, note]})


def _longest_that_fits(sizes: Sequence[int], room: int) -> int:
    """The length to which the longest have to be cut for all to fit."""
    for done, size in enumerate(sorted(sizes)):
        share = room // (len(sizes) - done)
        if size > share:
            return max(0, share)
        room -= size
    return max(sizes, default=0)


def _cut(text: str, limit_bytes: int) -> str:
    while (size_bytes := _size_bytes(text)) > limit_bytes and text:
        text = text[: min(len(text) - 1, len(text) * limit_bytes // size_bytes)]
    return text + CUT


def _size_bytes(part: object) -> int:
    return len(json.dumps(part))
