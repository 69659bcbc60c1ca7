"""Keeps a result small enough for the platform, which drops a larger one without a word."""

import json
from collections.abc import Callable, Sequence
from typing import Any

MAX_RESULT_BYTES = 9_500_000
"""RunPod takes 10 MB; its own wrapping needs a little."""
CUT = " [cut: the whole result was too large]"
CONCESSION = "chunk answers cut, because the whole result was too large for the platform"
VALUES_LEFT_OUT = "the chunks' values left out, because the whole result was too large for the platform"
CHUNKS_LEFT_OUT = "the chunks' results left out, because the whole result was too large for the platform"
SHOWN_PROMPT_CHARACTERS = 1000
LISTS_CUT = "the ends of the merged lists left out, because the whole result was too large for the platform"


def truncate_to_limit(output: dict[str, Any]) -> dict[str, Any]:
    """Return a job's output, made smaller if it is too large; its concessions then say so.

    The longest chunk answers are cut. Where answers are JSON, the chunks' are left out first, and then the merged lists
    lose their ends, also those in an object. Of several questions all that is said of chunks is left out before that:
    it can be too large without any answer. A merged text is never cut: max_tokens bounds it.
    """
    for smaller in (_with_short_texts, _without_values, _without_chunks, _with_short_lists):
        if _size_bytes(output) <= MAX_RESULT_BYTES:
            break
        output = smaller(output)
    return output


def _with_short_texts(output: dict[str, Any]) -> dict[str, Any]:
    texts = [chunk["text"] or "" for holder in _holders(output) for chunk in holder["chunk_results"]]
    if not any(texts):
        return output
    sizes_bytes = [_size_bytes(text) for text in texts]
    other_bytes = _size_bytes(output) - sum(sizes_bytes) + len(texts) * len(CUT) + len(CONCESSION) + 4
    limit_bytes = _longest_that_fits(sizes_bytes, MAX_RESULT_BYTES - other_bytes)
    return _changed(output, lambda one: {"chunk_results": _shortened(one["chunk_results"], limit_bytes)}, CONCESSION)


def _without_values(output: dict[str, Any]) -> dict[str, Any]:
    if not any(chunk["value"] for holder in _holders(output) for chunk in holder["chunk_results"]):
        return output
    return _changed(
        output,
        lambda one: {"chunk_results": [chunk | {"value": None} for chunk in one["chunk_results"]]},
        VALUES_LEFT_OUT,
    )


def _without_chunks(output: dict[str, Any]) -> dict[str, Any]:
    if not output["results"]:  # a plan has no more chunks than fit, for one question
        return output
    return _changed(output, _without_chunks_and_long_prompt, CHUNKS_LEFT_OUT)


def _without_chunks_and_long_prompt(holder: dict[str, Any]) -> dict[str, Any]:
    left: dict[str, Any] = {"chunk_results": []}
    return left | {"prompt": holder["prompt"][:SHOWN_PROMPT_CHARACTERS]} if "prompt" in holder else left


def _with_short_lists(output: dict[str, Any]) -> dict[str, Any]:
    """Halve the merged lists until all fit."""
    while _size_bytes(output) > MAX_RESULT_BYTES and any(map(_with_half_a_list, _holders(output))):
        others = [sentence for sentence in output["concessions"] if sentence != LISTS_CUT]
        output = _changed({**output, "concessions": others}, _with_half_a_list, LISTS_CUT)
    return output


def _with_half_a_list(holder: dict[str, Any]) -> dict[str, Any]:
    match holder["aggregated_response"]:
        case [_, *_] as merged:
            return {"aggregated_response": merged[: len(merged) // 2]}
        case {} as merged if any(isinstance(part, list) and part for part in merged.values()):
            parts = {name: part[: len(part) // 2] if isinstance(part, list) else part for name, part in merged.items()}
            return {"aggregated_response": parts}
    return {}


def _holders(output: dict[str, Any]) -> list[dict[str, Any]]:
    """What holds answers: the job, and each of several questions."""
    return [output, *(output["results"] or ())]


def _changed(
    output: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]], concession: str
) -> dict[str, Any]:
    """Change the job and each question, and say so; the job that is given stays as it is."""
    changed = [one | change(one) for one in output["results"] or ()]
    results = [
        now if now == one else now | {"status": "partial"}
        for one, now in zip(output["results"] or (), changed, strict=True)
    ]
    return {**output, **change(output), "results": results or output["results"],
            "concessions": [*output["concessions"], concession], "status": "partial"}  # fmt: skip


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
