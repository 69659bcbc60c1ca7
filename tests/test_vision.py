"""Rates and sizes keep every limit, and give way in their order: rate, then size, then length."""

import math
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vision import FRAME_FACTOR_PX, Budget, SamplingRate, fit, frame_size, microseconds, num_frames, video_tokens

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
def test_no_limit_is_ever_passed(span_s: Fraction, wanted_fps: Fraction, height_px: int, width_px: int, budget: Budget):
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
    told = "; ".join(rate.concessions)
    assert ("sample_fps lowered" in told) == (rate.fps < wanted_fps)
    assert ("frames shrunk" in told) == shrunk
    assert ("a chunk sees" in told) == shortened


def test_what_fits_is_left_as_it_is():
    rate = fit_hd(62, 2)

    assert (rate.fps, rate.span_s, rate.concessions) == (Fraction(2), Fraction(62), ())


def test_a_rate_that_does_not_fit_is_lowered_to_the_highest_that_does():
    rate = fit_hd(122, 2)

    assert (rate.fps, rate.span_s) == (Fraction(192, 122), Fraction(122))
    assert rate.concessions == ("sample_fps lowered from 2 to 1.57",)


def test_below_the_lowest_rate_the_frames_shrink():
    rate = fit_hd(602, 2)

    assert (rate.fps, rate.span_s) == (Fraction(1, 2), Fraction(602))
    assert rate.concessions == (
        "sample_fps lowered from 2 to 0.5",
        "frames shrunk to 81 tokens a pair, under the usual 128",
    )


def test_frames_that_cannot_shrink_further_make_the_chunk_shorter():
    rate = fit_hd(7202, 2)

    assert (rate.fps, rate.span_s) == (Fraction(1, 2), Fraction(1536))
    assert rate.concessions[-1] == "frames shrunk to 32 tokens a pair, under the usual 128"
    assert "a chunk sees 1536 s instead of 7202 s" in rate.concessions


def test_a_rate_below_the_lowest_is_kept_when_the_caller_asks_for_it():
    assert fit_hd(602, 0.1).fps == Fraction(1, 10)


def test_a_short_span_gets_four_frames():
    assert num_frames(Fraction(1, 10), fit_hd(0.1, 2).fps) == 4


@deterministic
@given(height_px=sides_px, width_px=sides_px, min_tokens=st.integers(1, 256), spare_tokens=st.integers(0, 2048))
def test_a_frame_is_whole_patches_within_its_tokens(height_px: int, width_px: int, min_tokens: int, spare_tokens: int):
    max_tokens = min_tokens + spare_tokens
    height, width = frame_size(height_px, width_px, min_tokens, max_tokens)

    assert height % FRAME_FACTOR_PX == width % FRAME_FACTOR_PX == 0
    assert 1 <= height * width // FRAME_FACTOR_PX**2 <= max_tokens


@deterministic
@example(height_px=64, aspect=1.984375, max_tokens=144)
@given(height_px=st.integers(64, 8192), aspect=st.floats(1 / 4, 4), max_tokens=st.integers(64, 768))
def test_a_frame_keeps_its_shape_to_within_one_patch(height_px: int, aspect: float, max_tokens: int):
    width_px = round(height_px * aspect)

    height, width = frame_size(height_px, width_px, min(128, max_tokens), max_tokens)

    distortion = (width / height) / (width_px / height_px)
    patches = min(height, width) // FRAME_FACTOR_PX
    # A small picture is enlarged by rounding up: a side of n patches may have been little more than n - 1.
    assert max(distortion, 1 / distortion) <= 1 + 1 / (patches - 1)


@pytest.mark.parametrize(
    ("source", "frame"),
    [
        ((1080, 1920), (640, 1152)),
        ((1920, 1080), (1152, 640)),
        ((480, 640), (480, 640)),
        ((2, 2), (384, 384)),
        ((1, 16_384), (32, 12_512)),
        ((16_384, 1), (12_512, 32)),
        ((4320, 7680), (640, 1152)),
    ],
)
def test_tiny_huge_and_very_long_pictures_have_a_sensible_size(source: tuple[int, int], frame: tuple[int, int]):
    assert frame_size(*source, 128, 768) == frame


def test_plans_count_time_in_whole_microseconds():
    assert (microseconds(0.1 + 0.2), microseconds(60), microseconds(1e-9)) == (300_000, 60_000_000, 1)
