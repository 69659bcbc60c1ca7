"""The worker broken in the ways that such a worker breaks: the checks of whole jobs fail, each fault by one of them."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from records import Answer, FrameBatch, Watched
from semantics.worker import Worker, check_chunks, check_colours, check_merged
from tiny_model.world import Timeline


def red_and_blue_swapped(batches: list[FrameBatch]) -> list[FrameBatch]:
    return [replace(batch, pixels=batch.pixels[..., ::-1].copy()) for batch in batches]


def shifted_by_a_chunk(batches: list[FrameBatch]) -> list[FrameBatch]:
    pixels = [batch.pixels for batch in batches]
    return [
        replace(batch, pixels=np.resize(before, batch.pixels.shape))
        for batch, before in zip(batches, [pixels[-1], *pixels[:-1]], strict=True)
    ]


def without_the_global_offset(batches: list[FrameBatch]) -> list[FrameBatch]:
    return [replace(batch, times_s=batch.times_s - batch.chunk.start_s) for batch in batches]


def shuffled(batches: list[FrameBatch]) -> list[FrameBatch]:
    generator = np.random.default_rng(0)
    return [replace(batch, pixels=generator.permutation(batch.pixels)) for batch in batches]


def first_frame_of_each_pair_twice(batches: list[FrameBatch]) -> list[FrameBatch]:
    return [replace(batch, pixels=batch.pixels[::2].repeat(2, axis=0)[: len(batch.pixels)]) for batch in batches]


def without_the_second_half_of_a_chunk(batches: list[FrameBatch]) -> list[FrameBatch]:
    return [batch.chosen(slice(len(batch.pixels) // 2)) for batch in batches]


def bt601_for_bt709(batches: list[FrameBatch]) -> list[FrameBatch]:
    """Colours as they come out when BT.709's luma and chroma are converted back with BT.601's matrix."""
    to_709 = np.array([[0.2126, 0.7152, 0.0722], [-0.1146, -0.3854, 0.5], [0.5, -0.4542, -0.0458]])
    from_601 = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])
    matrix = (from_601 @ to_709).T
    return [replace(batch, pixels=(batch.pixels @ matrix).clip(0, 255).astype(np.uint8)) for batch in batches]


FRAME_FAULTS = [
    red_and_blue_swapped,
    shifted_by_a_chunk,
    without_the_global_offset,
    shuffled,
    first_frame_of_each_pair_twice,
    without_the_second_half_of_a_chunk,
]


@pytest.mark.parametrize("fault", FRAME_FAULTS, ids=lambda fault: fault.__name__)
async def test_the_checks_notice_frames_that_are(
    watched: Worker, timeline: Timeline, video: Path, fault: Callable[[list[FrameBatch]], list[FrameBatch]]
) -> None:
    watched.break_frames = fault
    output = await watched.answer(video)
    with pytest.raises(AssertionError):
        check_chunks(output, timeline)
    with pytest.raises(AssertionError):
        check_merged(output, timeline)


async def test_the_checks_notice_a_wrong_colour_matrix(watched: Worker, timeline: Timeline, video: Path) -> None:
    watched.break_frames = bt601_for_bt709
    await watched.answer(video)
    with pytest.raises(AssertionError):
        check_colours(watched.seen, timeline)


async def test_the_checks_notice_chunks_out_of_order(
    watched: Worker, timeline: Timeline, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = watched.services.client
    in_order = client.stream_answers

    async def out_of_order(*arguments: Any) -> AsyncGenerator[Watched | Answer]:
        events = [event async for event in in_order(*arguments)]
        answers = sorted((event for event in events if isinstance(event, Answer)), key=lambda one: one.chunk.index)
        for answer, other in zip(answers, reversed(answers), strict=True):
            yield replace(answer, value=other.value)

    monkeypatch.setattr(client, "stream_answers", out_of_order)
    output = await watched.answer(video)
    with pytest.raises(AssertionError):
        check_chunks(output, timeline)
    with pytest.raises(AssertionError):
        check_merged(output, timeline)
