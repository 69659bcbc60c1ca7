"""Frame sizes follow the rule of the model's own video reader, within the limit on tokens."""

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from vision import FRAME_FACTOR_PX, MAX_RATIO, MIN_FRAMES, frame_size, qwen_frame_size

deterministic = settings(derandomize=True, deadline=None, max_examples=200)
sides_px = st.integers(1, 16_384)


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


def test_the_rule_is_the_one_of_qwen_vl_utils():
    from qwen_vl_utils import vision_process  # imports torch, which takes seconds: only here

    @settings(deterministic, max_examples=2000)
    @example(height_px=2, width_px=400, min_tokens=128, spare_tokens=640)
    @example(height_px=48, width_px=48, min_tokens=1, spare_tokens=0)  # 1.5 patches round to 2, the even number
    @given(height_px=sides_px, width_px=sides_px, min_tokens=st.integers(1, 4096), spare_tokens=st.integers(0, 40_000))
    def agrees(height_px: int, width_px: int, min_tokens: int, spare_tokens: int):
        assume(max(height_px, width_px) <= MAX_RATIO * min(height_px, width_px))
        max_tokens = min_tokens + spare_tokens
        area_px = FRAME_FACTOR_PX**2
        expected = vision_process.smart_resize(
            height_px, width_px, FRAME_FACTOR_PX, min_tokens * area_px, max_tokens * area_px
        )
        assert qwen_frame_size(height_px, width_px, min_tokens, max_tokens) == expected

    agrees()
    assert vision_process.MAX_RATIO == MAX_RATIO
    assert vision_process.FPS_MIN_FRAMES == MIN_FRAMES
