"""What test_local.py shows of results, on wide and on narrow terminals."""

import io
import json
import re
from typing import Any

import pytest
from rich.console import Console

from api.output import CostOutput, EstimateOutput, JobOutput
from job_screen import JobScreen, StageBars
from records import Stage

SENTENCE = "A dog runs along a beach until the rain begins."
EVENT = {"start_s": 21.25, "end_s": 44.25, "description": f"[loud] {SENTENCE}", "chunk": 0, "confidence": 0.934}
LATER = EVENT | {"start_s": 3661.0, "end_s": 3672.95, "description": "Rain.", "chunk": 1, "confidence": None}
SPAN, LATER_SPAN = ({name: one[name] for name in one if name != "description"} for one in (EVENT, LATER))
CHAPTER, LATER_CHAPTER = (
    {"start_s": one["start_s"], "end_s": one["end_s"], "title": one["description"]} for one in (EVENT, LATER)
)
USAGE = {"prompt_tokens": 9000, "completion_tokens": 40, "cached_tokens": 6000}


def result(*answers: Any, merged: Any = None, **other: Any) -> dict[str, Any]:
    """What was found out about one question; an answer that begins with a code is an error."""
    chunks = []
    for index, answer in enumerate(answers):
        is_text, is_error = isinstance(answer, str), isinstance(answer, str) and ": " in answer
        chunks.append({
            "index": index,
            "start_s": 60.0 * index,
            "end_s": 60.0 * index + 60,
            "text": answer if is_text and not is_error else None,
            "value": None if is_text else answer,
            "error": answer if is_error else None,
            "num_frames": 120,
            "prompt_tokens": 9000,
            "completion_tokens": 40,
            "timings": {"generate_s": 1.2},
        })  # fmt: skip
    merge = {"aggregated_response": merged, "aggregation_error": None}
    return {"status": "complete", "coverage": 1.0, "chunk_results": chunks, "usage": USAGE, **merge, **other}


def job(about: dict[str, Any], **other: Any) -> dict[str, Any]:
    """The output of a job, as far as it is shown."""
    output = {
        **about,
        "results": None,
        "sample_fps": 2.0,
        "frame_size": (640, 352),
        "total_processing_time": 12.34,
        "concessions": [],
        "video_info": {"duration": 180.0, "codec": "h264", "width": 1280, "height": 720},
        "window": {"start_s": 0.0, "end_s": 180.0},
        "timings": {"download_s": 0.4, "plan_s": 0.0, "chunks_s": 11.8, "other_s": 0.14},
        "cost": {"gpu": "NVIDIA H200", "gpu_seconds": 12.34, "usd": 0.019127},
        **other,
    }
    assert output.keys() <= JobOutput.model_fields.keys()
    return output


def shown(output: dict[str, Any], width: int, form: str = "text") -> str:
    printed = io.StringIO()
    JobScreen(Console(file=printed, width=width, emoji=False), output, form).show()
    assert max(map(len, printed.getvalue().splitlines())) <= width
    assert "…" not in printed.getvalue()
    return printed.getvalue()


def words(printed: str) -> str:
    """What is printed, whatever lines and frames it is broken into."""
    return " ".join(re.sub(r"[━┏┳┓┃┡╇┩│└┴┘─]", " ", printed).split())


@pytest.mark.parametrize("width", [60, 100])
def test_the_answer_about_a_single_chunk_is_printed_once_and_on_one_line(width: int) -> None:
    assert shown(job(result(SENTENCE, merged=SENTENCE)), width).count(SENTENCE) == 1


@pytest.mark.parametrize("width", [40, 60, 100])
def test_chunks_are_numbered_from_one_as_the_progress_does(width: int) -> None:
    printed = shown(job(result(*(f"[answer {index}] dog" for index in range(3)), merged=SENTENCE)), width)
    for index in range(3):
        assert re.search(rf"{index + 1}\b.*{index}:00-{index + 1}:00", printed)
        assert f"[answer {index}] dog" in printed  # brackets are text, not style


@pytest.mark.parametrize("width", [40, 60, 100])
def test_events_are_shown_with_times_chunk_confidence_and_description(width: int) -> None:
    printed = shown(job(result([EVENT], [LATER], merged=[EVENT, LATER])), width, "events")
    for shown_once in ("2 events", "0:21.2", "0:44.2", "1:01:01.0", "1:01:13.0", "0.93", "unknown", "Rain."):
        assert printed.count(shown_once) == 1
    assert printed.count("1 event\n" if width < 90 else "1 event│") == 2  # of each chunk
    if width < 90:
        assert f"[loud] {SENTENCE}" in words(printed)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_spans_are_shown_in_their_order_and_a_chunk_that_failed_with_its_error(width: int) -> None:
    printed = shown(job(result([SPAN, LATER_SPAN], "TIMEOUT: late", merged=[LATER_SPAN, SPAN])), width, "when")
    assert "2 spans (the surest first)" in printed
    assert "TIMEOUT: late" in printed
    assert printed.index("1:01:01.0") < printed.index("0:21.2")


@pytest.mark.parametrize("width", [40, 60, 100])
def test_of_chapters_that_were_not_merged_those_of_each_chunk_are_shown(width: int) -> None:
    about = result([CHAPTER], "TIMEOUT: late", [LATER_CHAPTER], aggregation_error="GENERATION_FAILED: x")
    printed = words(shown(job(about), width, "chapters"))
    assert "The answers were not merged: GENERATION_FAILED: x 2 chapters (of each chunk, not merged)" in printed
    assert "[loud] A dog runs" in printed
    assert re.search(r"1:01:13.0 (3 Rain|\(chunk 3\) Rain)", printed)


@pytest.mark.parametrize("width", [60, 100])
def test_an_empty_list_is_said_to_be_empty(width: int) -> None:
    assert "\nno spans\n" in shown(job(result([], [], merged=[])), width, "when")


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("value", [{"dogs": 2, "names": ["Rex", "Ünal"]}, [], None, 3])
def test_json_of_the_caller_s_schema_is_printed_over_several_lines(value: Any, width: int) -> None:
    printed = shown(job(result(value, merged=value)), width, "schema")
    for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines():
        assert line in printed
    assert "merged answer" not in printed  # it is the only chunk's


@pytest.mark.parametrize("width", [40, 60, 100])
def test_each_of_several_questions_has_a_section_of_its_own(width: int) -> None:
    one, other = result("In the middle.", merged="m"), result("Nowhere.", merged="n", status="partial", coverage=0.5)
    printed = shown(job(result(), results=[{**one, "prompt": "When?"}, {**other, "prompt": "Where?"}]), width)
    _, first, second = re.split(r"(?m)^question \d of 2 ─+$", printed)
    assert "\nWhen?\n" in first
    assert "In the middle." in first
    assert "\nWhere?\n" in second
    assert "Nowhere." in second
    answer, total = second.split("all questions")
    assert "partial, 50% seen; 9000+40 tokens" in answer
    assert "complete, 100% of 180 s seen" in total


@pytest.mark.parametrize("width", [40, 60, 100])
def test_the_bill_has_the_tokens_the_price_and_the_seconds_by_stage(width: int) -> None:
    printed = words(shown(job(result(SENTENCE)), width))
    assert "tokens 9000+40, of them 6000 computed before" in printed
    assert "cost 12.3 s on NVIDIA H200, $0.0191" in printed
    assert "seconds 12.3: download 0.4, chunks 11.8, other 0.1" in printed


def test_what_is_not_known_of_the_price_is_said() -> None:
    free = {"gpu": None, "gpu_seconds": 1.0, "usd": None}
    assert free.keys() == CostOutput.model_fields.keys()
    assert "1.0 s without a GPU, price not known" in shown(job(result(SENTENCE), cost=free), 100)
    assert "H, less than $0.0001" in shown(job(result(SENTENCE), cost=free | {"gpu": "H", "usd": 0.00002}), 100)


def test_of_a_part_of_the_video_its_times_are_shown() -> None:
    printed = shown(job(result(SENTENCE), window={"start_s": 30.0, "end_s": 150.0}), 100)
    assert "100% of 120 s (0:30-2:30 of 180 s) seen at 2 fps" in printed


@pytest.mark.parametrize("width", [40, 60, 100])
@pytest.mark.parametrize(
    ("seconds", "shown_seconds"),
    [(77.1, "77.1, without the download"), (None, "not known before this worker has answered such a job")],
)
def test_an_estimate_is_shown_as_one(seconds: float | None, shown_seconds: str, width: int) -> None:
    whole = job(result(), num_chunks=60, concessions=["fewer frames"])
    estimate = {name: value for name, value in whole.items() if name in EstimateOutput.model_fields} | {
        "estimate": {
            "seconds": seconds, "usd": None, "gpu": "NVIDIA H200", "frames": 7200, "prompt_tokens": 720_000,
            "max_completion_tokens": 31_232,
        },
    }  # fmt: skip
    printed = words(shown(estimate, width))
    assert f"estimate (nothing was asked) 180 s at 2 fps in 640x352; h264 1280x720 seconds {shown_seconds}" in printed
    assert "frames 7200 in 60 chunks tokens 720000, and at most 31232 of answers" in printed
    assert printed.endswith("note: fewer frames")


def test_a_stage_of_any_name_has_a_bar() -> None:
    printed = io.StringIO()
    with StageBars(Console(file=printed, width=60)) as bars:
        for stage in (*Stage, "another"):
            bars.show(stage, f"doing {stage}")
    for stage in (*Stage, "another"):
        assert f"doing {stage}" in printed.getvalue()
