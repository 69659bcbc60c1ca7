"""The documented output says what was not seen and what was cut."""

from dataclasses import replace
from fractions import Fraction

import pytest

from api.output import JobOutput
from api.result import job_output
from records import (
    Answer,
    Chunk,
    Conclusion,
    Generation,
    JobResult,
    Question,
    SampleGrid,
    UnseenReason,
    UnseenSpan,
    VideoInfo,
    VideoPlan,
    Watched,
    Window,
)

INFO = VideoInfo(
    start_s=0, duration_s=12, fps=Fraction(25), num_frames=300, width_px=320, height_px=180, rotation_deg=0,
    codec="h264", pixel_format="yuv420p", container="mov", bit_rate_bps=1, variable_frame_rate=False, truncated=False,
    missing_s=0, size_bytes=1, stream_index=0, first_pts=0, time_base_s=Fraction(1, 25), seekable=True,
)  # fmt: skip
GRID = SampleGrid(0, Fraction(2), 64, 64)
CHUNKS = tuple(Chunk(index, 4.0 * index, 4.0 * index + 4, 4.0 * index + 4) for index in range(3))
WATCHED = tuple(Watched(chunk, GRID, 8, seen_until_s=chunk.end_s) for chunk in CHUNKS)
WHOLE = Generation("seen", "stop", 10, 2, render_s=0, generate_s=0)
CUT = replace(WHOLE, finish_reason="length")
LOOP = replace(WHOLE, finish_reason="repetition")


def output_of(generations: list[Generation], merged: Conclusion | None) -> JobOutput:
    return output_of_answers(
        [
            Answer(watched, 0, "text", one.text, generations=(one,))
            for watched, one in zip(WATCHED, generations, strict=True)
        ],
        merged,
    )


def output_of_answers(answers: list[Answer], merged: Conclusion | None, info: VideoInfo = INFO) -> JobOutput:
    plan = VideoPlan(Window(info.start_s, info.end_s), CHUNKS, GRID, "uniform", ())
    merged_ones = (merged,) if merged else ()
    return job_output(JobResult(info, plan, (Question(0, "?"),), WATCHED, tuple(answers), merged_ones, {}, 1.0))


def test_a_job_of_whole_answers_is_complete() -> None:
    output = output_of([WHOLE] * 3, Conclusion(0, "merged", generations=(WHOLE,)))
    assert (output.status, output.coverage, output.concessions) == ("complete", 1, [])
    assert output.aggregation_finish_reason == "stop"


@pytest.mark.parametrize("end", [CUT, LOOP])
def test_chunk_answers_that_were_cut_are_counted(end: Generation) -> None:
    output = output_of([WHOLE, end, end], None)
    assert (output.status, output.coverage) == ("partial", 1)
    assert output.concessions == ["2 of 3 chunk answers were cut at max_tokens"]
    assert [chunk.finish_reason for chunk in output.chunk_results] == ["stop", end.finish_reason, end.finish_reason]


@pytest.mark.parametrize(("rounds", "last"), [((WHOLE, CUT), "length"), ((CUT, WHOLE), "stop")])
def test_a_merged_answer_that_was_cut_in_any_round_is_told(rounds: tuple[Generation, ...], last: str) -> None:
    output = output_of([WHOLE] * 3, Conclusion(0, "merged", generations=rounds))
    assert output.status == "partial"
    assert output.aggregation_finish_reason == last
    assert output.concessions == ["the merged answer was cut at max_tokens, and may lack events"]


def test_the_answer_about_a_single_chunk_was_not_merged() -> None:
    output = output_of([WHOLE] * 3, Conclusion(0, "seen"))
    assert output.aggregation_finish_reason is None


def test_coverage_counts_what_answered_chunks_saw_undamaged() -> None:
    seen, damaged, unanswered = WATCHED
    chunk = damaged.chunk
    span = UnseenSpan(chunk.start_s, chunk.start_s + 2, UnseenReason.DAMAGED)
    answers = [
        Answer(seen, 0, "text", "a"),
        Answer(replace(damaged, unseen=(span,)), 0, "text", "b"),
        Answer(unanswered, 0, "text", error="X: y"),
    ]
    whole, cut_off = (output_of_answers(answers, None, info) for info in (INFO, replace(INFO, missing_s=12)))
    assert whole.status == cut_off.status == "partial"
    assert [(one.start_s, one.end_s, one.reason) for one in cut_off.unseen] == [
        (4, 6, "damaged"), (8, 12, "not_answered"), (12, 24, "truncated"),
    ]  # fmt: skip
    assert whole.coverage == pytest.approx((4 + 2) / 12)
    assert cut_off.coverage == pytest.approx((4 + 2) / 24)


def test_a_file_that_is_cut_off_ends_with_a_span_of_unknown_length() -> None:
    output = output_of_answers([Answer(one, 0, "text", "a") for one in WATCHED], None, replace(INFO, truncated=True))
    assert (output.status, output.coverage) == ("partial", 1)
    assert [(one.start_s, one.end_s, one.reason) for one in output.unseen] == [(12, None, "truncated")]


@pytest.mark.parametrize(
    ("wanted_end_s", "missing_s", "unseen", "coverage"),
    [
        (12, 4, [], 1),
        (13, 4, [(12, 13)], 0.9231),
        (60, 4, [(12, 16)], 0.75),
        (13, 0, [(12, None)], 1),
    ],
)
def test_of_the_missing_end_of_a_file_only_what_was_asked_for_is_not_seen(
    wanted_end_s: float, missing_s: float, unseen: list[tuple[float, float | None]], coverage: float
) -> None:
    info = replace(INFO, truncated=True, missing_s=missing_s)
    plan = VideoPlan(Window(0, 12), CHUNKS, GRID, "uniform", (), wanted_end_s)
    answers = tuple(Answer(watched, 0, "text", "seen", generations=(WHOLE,)) for watched in WATCHED)
    output = job_output(JobResult(info, plan, (Question(0, "?"),), WATCHED, answers, (), {}, 1.0))
    assert [(span.start_s, span.end_s) for span in output.unseen] == unseen
    assert output.coverage == coverage
    assert output.status == ("partial" if unseen else "complete")
