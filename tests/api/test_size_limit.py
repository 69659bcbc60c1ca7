"""A result that the platform would drop is made smaller, and says so; any other is left as it is."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from api import size_limit
from api.output import ChunkOutput, CostOutput, JobOutput, Usage, VideoInfoOutput, WindowOutput
from api.size_limit import CUT, truncate_to_limit
from planning import MAX_CHUNKS

INFO = VideoInfoOutput(
    duration=60, fps=25, start=0, num_frames=1500, width=64, height=64, rotation=0, codec="h264",
    pixel_format="yuv420p", container="mov", bit_rate=1, variable_frame_rate=False, truncated=False, missing=0,
    size_bytes=1, other_streams=[],
)  # fmt: skip


def output_of(texts: list[str | None]) -> dict[str, Any]:
    chunks = [
        ChunkOutput(
            index=index, start_s=index, end_s=index + 1, text=text, error=None if text else "lost",
            finish_reason="stop", num_frames=4, damaged_frames=0, sample_fps=2, prompt_tokens=1,
            completion_tokens=1, timings={},
        )
        for index, text in enumerate(texts)
    ]  # fmt: skip
    return JobOutput(
        status="complete", coverage=1, unseen=[], video_info=INFO, num_chunks=len(chunks), chunk_results=chunks,
        aggregated_response="merged", aggregated_by="model", aggregation_error=None, aggregation_finish_reason="stop",
        total_processing_time=1,
        sample_fps=2, frame_size=(64, 64), concessions=["one"], decoding=None, timings={},
        usage=Usage(prompt_tokens=1, completion_tokens=1, cached_tokens=0), results=None,
        window=WindowOutput(start_s=0, end_s=60), cost=CostOutput(gpu=None, gpu_seconds=1, usd=None),
    ).model_dump(mode="json")  # fmt: skip


def size_bytes(output: dict[str, Any]) -> int:
    return len(json.dumps(output))


@hypothesis_settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.lists(st.none() | st.text("aé\n\U0001f600", max_size=4000), min_size=1, max_size=12),
    st.integers(6000, 20_000),
)
@example(["\U0001f600" * 2000 + "a" * 8000] * 3, 6000)
def test_what_is_delivered_fits_and_loses_no_more_than_it_must(texts: list[str | None], most_bytes: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(size_limit, "MAX_RESULT_BYTES", most_bytes)
        whole = output_of(texts)
        delivered = truncate_to_limit(whole)
    assert size_bytes(delivered) <= most_bytes
    if size_bytes(whole) <= most_bytes:
        assert delivered == whole
        return
    assert delivered["concessions"][:-1] == whole["concessions"]
    assert delivered["aggregated_response"] == "merged"
    kept = [chunk["text"] for chunk in delivered["chunk_results"]]
    uncut = [len(json.dumps(text)) for text, now in zip(texts, kept, strict=True) if text and text == now]
    for text, now in zip(texts, kept, strict=True):
        if text == now:
            continue
        assert text
        assert now
        assert now.endswith(CUT)
        assert text.startswith(now.removesuffix(CUT))
        assert len(json.dumps(text)) >= max(uncut, default=0)


def test_an_unknown_field_is_not_repeated_at_length():
    from api.request import validate_input
    from errors import InputError

    with pytest.raises(InputError) as refusal:
        validate_input({"video_url": "x", "prompt": "x", "k" * 100_000: 1})
    assert len(str(refusal.value)) < 1100


def test_the_most_chunks_that_a_plan_may_have_fit_with_their_texts_cut():
    whole = output_of(["a" * 8000, None] * (MAX_CHUNKS // 2))
    delivered = truncate_to_limit(whole)
    assert size_bytes(delivered) <= size_limit.MAX_RESULT_BYTES
    assert {chunk["text"] for chunk in delivered["chunk_results"][1::2]} == {None}


def test_lists_that_are_too_long_lose_their_ends_after_the_chunks_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limit, "MAX_RESULT_BYTES", 6000)
    events = [{"start_s": index, "description": "a ball bounces"} for index in range(200)]
    whole = output_of([None, None])
    for chunk in whole["chunk_results"]:
        chunk["value"] = events[:100]
    few, many = ({**whole, "aggregated_response": events[:length]} for length in (20, 200))
    delivered = truncate_to_limit(few)
    assert delivered["aggregated_response"] == events[:20]
    assert [chunk["value"] for chunk in delivered["chunk_results"]] == [None, None]
    assert (delivered["status"], delivered["concessions"][1:]) == ("partial", [size_limit.VALUES_LEFT_OUT])
    delivered = truncate_to_limit(many)
    assert size_bytes(delivered) <= 6000
    assert delivered["aggregated_response"] == events[:50]
    assert delivered["concessions"][1:] == [size_limit.VALUES_LEFT_OUT, size_limit.LISTS_CUT]


def test_of_several_questions_every_ones_chunks_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limit, "MAX_RESULT_BYTES", 6000)
    job = output_of([])
    question = {name: job[name] for name in ("aggregated_response", "status")}
    results = [question | {"chunk_results": output_of(["a" * length] * 2)["chunk_results"]} for length in (50, 3000)]
    delivered = truncate_to_limit(job | {"results": results})
    assert size_bytes(delivered) <= 6000
    short, long = delivered["results"]
    assert short == results[0]
    assert (short["status"], long["status"]) == ("complete", "partial")
    assert all(chunk["text"].endswith(CUT) for chunk in long["chunk_results"])


def test_the_most_chunks_of_many_questions_fit_without_what_is_said_of_chunks() -> None:
    job = output_of([])
    chunks = output_of(["seen"] * 2000)["chunk_results"]
    question = {"aggregated_response": "merged", "status": "complete", "chunk_results": chunks}
    delivered = truncate_to_limit(job | {"results": [question] * 32})
    assert size_bytes(delivered) <= size_limit.MAX_RESULT_BYTES
    assert {one["aggregated_response"] for one in delivered["results"]} == {"merged"}
    assert (delivered["status"], delivered["concessions"][-1]) == ("partial", size_limit.CHUNKS_LEFT_OUT)


def test_lists_in_a_merged_object_lose_their_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limit, "MAX_RESULT_BYTES", 6000)
    merged = {"people": ["somebody"] * 1000, "signs": [], "count": 3}
    delivered = truncate_to_limit(output_of([None]) | {"aggregated_response": merged})
    assert size_bytes(delivered) <= 6000
    assert delivered["aggregated_response"] == {"people": ["somebody"] * 250, "signs": [], "count": 3}
    assert delivered["concessions"][1:] == [size_limit.LISTS_CUT]
