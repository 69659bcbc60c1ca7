"""A plan keeps every limit; rate, size and length give way in this order, and each adjustment is told."""

import math
from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from planning import Budget, SamplingRate, fit, microseconds, num_frames
from records import PromptRoom
from vision import FRAME_FACTOR_PX, video_tokens

USUAL = Budget(
    max_frames=768, max_video_tokens=12_288, min_frame_tokens=128, max_frame_tokens=768, min_fps=Fraction(1, 2)
)

deterministic = settings(derandomize=True, deadline=None, max_examples=200)
spans_s = st.integers(1, 86_400_000_000).map(lambda count: Fraction(count, 1_000_000))
rates_fps = st.fractions(Fraction(1, 100), 60, max_denominator=1001)
sides_px = st.integers(1, 16_384)
budgets = st.builds(
    Budget,
    max_frames=st.integers(2, 2000),
    max_video_tokens=st.integers(64, 40_000),
    min_frame_tokens=st.integers(1, 512),
    max_frame_tokens=st.integers(1, 2048),
    min_fps=st.fractions(Fraction(1, 50), 4, max_denominator=1000),
)


def fit_hd(span_s: float, fps: float, budget: Budget = USUAL) -> SamplingRate:
    return fit(Fraction(str(span_s)), Fraction(str(fps)), 1080, 1920, budget)


@deterministic
@given(span_s=spans_s, wanted_fps=rates_fps, height_px=sides_px, width_px=sides_px, budget=budgets)
def test_no_limit_is_exceeded(span_s: Fraction, wanted_fps: Fraction, height_px: int, width_px: int, budget: Budget):
    rate = fit(span_s, wanted_fps, height_px, width_px, budget)

    frames = num_frames(rate.span_s, rate.fps)
    assert 1 <= frames <= budget.max_frames
    assert video_tokens(frames, rate.height_px, rate.width_px) <= budget.max_video_tokens
    assert video_tokens(2, rate.height_px, rate.width_px) <= budget.max_frame_tokens
    assert 0 < rate.span_s <= span_s
    assert rate.height_px % FRAME_FACTOR_PX == rate.width_px % FRAME_FACTOR_PX == 0


@deterministic
@given(span_s=spans_s, wanted_fps=rates_fps, height_px=sides_px, width_px=sides_px, budget=budgets)
def test_the_rate_falls_first_then_the_size_then_the_length_and_each_is_told(
    span_s: Fraction, wanted_fps: Fraction, height_px: int, width_px: int, budget: Budget
):
    rate = fit(span_s, wanted_fps, height_px, width_px, budget)

    floor_fps = min(wanted_fps, budget.min_fps)
    usual_tokens = min(budget.min_frame_tokens, budget.max_frame_tokens)
    frame_tokens = budget.max_video_tokens // math.ceil(num_frames(rate.span_s, rate.fps) / 2)
    shrunk, shortened = frame_tokens < usual_tokens, rate.span_s < span_s
    assert rate.fps >= floor_fps
    if shrunk or (shortened and num_frames(span_s, floor_fps) > 4):
        assert rate.fps <= max(floor_fps, 4 / span_s), "the rate was not lowered as far as it goes"
    told = "; ".join(rate.adjustments)
    assert ("sample_fps lowered" in told) == (rate.fps < wanted_fps)
    assert ("frames shrunk" in told) == shrunk
    assert ("a chunk sees" in told) == shortened


def test_what_fits_is_left_as_it_is():
    rate = fit_hd(62, 2)

    assert (rate.fps, rate.span_s) == (Fraction(2), Fraction(62))
    assert rate.adjustments == ()


def test_a_rate_that_does_not_fit_is_lowered_to_the_highest_that_does():
    rate = fit_hd(122, 2)

    assert (rate.fps, rate.span_s) == (Fraction(192, 122), Fraction(122))
    assert rate.adjustments == ("sample_fps lowered from 2 to 1.57",)


def test_below_the_lowest_rate_the_frames_shrink():
    rate = fit_hd(602, 2)

    assert (rate.fps, rate.span_s) == (Fraction(1, 2), Fraction(602))
    assert rate.adjustments == (
        "sample_fps lowered from 2 to 0.5",
        "frames shrunk to 81 tokens a pair, under the usual 128",
    )


def test_frames_that_cannot_shrink_further_make_the_chunk_shorter():
    rate = fit_hd(7202, 2)

    assert (rate.fps, rate.span_s) == (Fraction(1, 2), Fraction(1536))
    assert rate.adjustments[-1] == "frames shrunk to 32 tokens a pair, under the usual 128"
    assert "a chunk sees 1536 s instead of 7202 s" in rate.adjustments


def test_a_rate_below_the_lowest_is_kept_when_the_caller_asks_for_it():
    assert fit_hd(602, 0.1).fps == Fraction(1, 10)


def test_a_short_span_gets_four_frames():
    assert num_frames(Fraction(1, 10), fit_hd(0.1, 2).fps) == 4


def test_plans_count_time_in_whole_microseconds():
    assert (microseconds(0.1 + 0.2), microseconds(60), microseconds(1e-9)) == (300_000, 60_000_000, 1)


@deterministic
@given(
    span_s=spans_s,
    wanted_fps=rates_fps,
    budget=budgets,
    room=st.builds(PromptRoom, tokens=st.integers(256, 20_000), pair_text_tokens=st.integers(4, 20)),
)
def test_frames_and_their_times_fit_what_the_context_leaves(
    span_s: Fraction, wanted_fps: Fraction, budget: Budget, room: PromptRoom
):
    rate = fit(span_s, wanted_fps, 1080, 1920, replace(budget, room=room))

    pairs = math.ceil(num_frames(rate.span_s, rate.fps) / 2)
    vision_tokens = video_tokens(2 * pairs, rate.height_px, rate.width_px)
    assert vision_tokens + pairs * room.pair_text_tokens <= room.tokens
    assert num_frames(rate.span_s, rate.fps) <= budget.max_frames


def test_a_small_context_lowers_the_rate_and_says_so():
    rate = fit_hd(62, 2, replace(USUAL, room=PromptRoom(tokens=4000, pair_text_tokens=10)))
    assert rate.adjustments == ("sample_fps lowered from 2 to 0.903",)
