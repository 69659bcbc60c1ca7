"""Whole jobs: the worker says what was shown, and when."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clips
from answers import prompts
from clips import with_display_matrix
from semantics.conftest import STARTS_S
from semantics.worker import Worker, check_chunks, check_colours, check_merged, told_by_chunks, true_parts
from tiny_model import world
from tiny_model.footage import H264, Camera, film
from tiny_model.wording import FIND_QUESTIONS, LIST_QUESTIONS
from tiny_model.world import NOT_SEEN, SUBJECTS, Timeline, answer_of, merged

LONG_SEED = 3
OTHER_SEEDS = range(100, 106)
"""Of clips that nobody chose."""
UPRIGHT_AGAIN = (0, 1, -1, 0)
"""The display matrix that turns pictures a quarter clockwise."""
CONTAINERS = {
    "mp4": ("-c", "copy"),
    "mkv": ("-c", "copy"),
    "avi": ("-c", "copy"),
    "webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-b:v", "1M", "-pix_fmt", "yuv420p"),
}


@pytest.mark.parametrize("container", CONTAINERS)
async def test_every_scene_is_named_with_its_time(
    watched: Worker, timeline: Timeline, video: Path, media_root: Path, container: str
) -> None:
    path = media_root / f"container.{container}"
    clips.ffmpeg("-i", video, *CONTAINERS[container], path)
    output = await watched.answer(path)
    check_chunks(output, timeline)
    check_merged(output, timeline)
    check_colours(watched.seen, timeline)


async def test_most_parts_of_any_video_are_read_without_a_fault(watched: Worker, media_root: Path) -> None:
    right: list[bool] = []
    for seed in OTHER_SEEDS:
        timeline = world.random_timeline(np.random.default_rng(seed), STARTS_S, 24.0, 640 / 360)
        path = film(timeline, Camera(180, 320, 10), media_root / f"other{seed}.mp4")
        output = await watched.answer(path, aggregate=False)
        right += _equal(told_by_chunks(output), [answer_of(part) for part in true_parts(timeline)])
    assert np.mean(right) >= 0.8


async def test_a_turned_video_is_read_upright(
    watched: Worker, timeline: Timeline, camera: Camera, media_root: Path
) -> None:
    coded = film(timeline, camera, media_root / "coded.mp4", turns=1)
    path = media_root / "turned.mp4"
    path.write_bytes(with_display_matrix(coded.read_bytes(), *UPRIGHT_AGAIN))
    output = await watched.answer(path)
    assert (output["video_info"]["width"], output["video_info"]["height"]) == (640, 360)
    check_chunks(output, timeline)
    check_merged(output, timeline)


async def test_a_variable_frame_rate_shifts_nothing(
    watched: Worker, timeline: Timeline, video: Path, media_root: Path
) -> None:
    path = media_root / "variable.mkv"
    thin = ("-vf", "select='not(mod(n,2))+lt(mod(n,40),20)'", "-fps_mode", "passthrough")
    clips.ffmpeg("-i", video, *thin, *H264, path)
    output = await watched.answer(path)
    assert output["video_info"]["variable_frame_rate"]
    check_chunks(output, timeline)
    check_merged(output, timeline)


async def test_frames_that_show_nothing_new_can_be_left_out_without_changing_the_answers(
    watched: Worker, timeline: Timeline, camera: Camera, media_root: Path
) -> None:
    still = replace(timeline, scenes=tuple(replace(scene, dx_per_s=0, dy_per_s=0) for scene in timeline.scenes))
    path = film(still, camera, media_root / "still.mp4")
    uniform = await watched.answer(path)
    adaptive = await watched.answer(path, sampling="adaptive")
    check_chunks(uniform, timeline)
    few, all_of_them = ([chunk["num_frames"] for chunk in output["chunk_results"]] for output in (adaptive, uniform))
    assert sum(few) <= sum(all_of_them) * 2 / 3
    assert told_by_chunks(adaptive) == told_by_chunks(uniform)


async def test_an_hour_into_a_long_video_times_are_those_of_the_whole(watched: Worker, media_root: Path) -> None:
    generator = np.random.default_rng(LONG_SEED)
    starts_s = [0.0, *(40.0 * index + generator.choice([-7, 5, 11]) for index in range(1, 92))]
    timeline = world.random_timeline(generator, starts_s, 3690.0, 16 / 9)
    path = film(timeline, Camera(72, 128, 1), media_root / "long.mp4")
    output = await watched.answer(path, chunk_duration=60.0, sample_fps=0.5, aggregate=False)
    parts = true_parts(timeline, chunk_s=60.0, sample_fps=0.5)
    right = _equal(told_by_chunks(output), [answer_of(part) for part in parts])
    assert len(right) == 62
    assert all(right[60:])
    assert np.mean(right) >= 0.9


@pytest.mark.parametrize("question", [*LIST_QUESTIONS[1:4], "Say what is on screen, and when."])
async def test_a_reworded_question_gets_the_same_answer(
    watched: Worker, timeline: Timeline, video: Path, question: str
) -> None:
    check_chunks(await watched.answer(video, question), timeline)


async def test_reworded_instructions_get_the_same_answer(
    watched: Worker, timeline: Timeline, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = (
        "You watch a stretch of some longer recording. Before every two frames stands their moment, counted in seconds."
    )
    monkeypatch.setattr(prompts, "CHUNK_LEAD", lead)
    check_chunks(await watched.answer(video), timeline)


async def test_a_scene_that_is_asked_for_is_told_where_it_is_seen(
    watched: Worker, timeline: Timeline, video: Path
) -> None:
    wanted = timeline.scenes[4].subject
    output = await watched.answer(video, FIND_QUESTIONS[0].format(wanted))
    told = [[sighting for sighting in part if sighting.subject == wanted] for part in true_parts(timeline)]
    assert sorted(map(len, told)) == [0, 0, 1]
    assert told_by_chunks(output) == [answer_of(part) for part in told]
    assert output["aggregated_response"] == answer_of(merged(told))


@pytest.mark.parametrize("number", [0, 3, 7])
async def test_a_subject_that_is_not_shown_is_not_found(
    watched: Worker, timeline: Timeline, video: Path, number: int
) -> None:
    shown = {scene.subject for scene in timeline.scenes}
    absent = [subject for subject in SUBJECTS if subject not in shown][number]
    output = await watched.answer(video, FIND_QUESTIONS[0].format(absent))
    assert told_by_chunks(output) == [NOT_SEEN] * 3
    assert output["aggregated_response"] == NOT_SEEN


async def test_a_greedy_job_says_the_same_every_time(watched: Worker, video: Path) -> None:
    first, second = await watched.answer(video), await watched.answer(video)
    assert told_by_chunks(first) == told_by_chunks(second)
    assert first["aggregated_response"] == second["aggregated_response"]


def _equal(told: Sequence[str], true: Sequence[str]) -> list[bool]:
    return [one == other for one, other in zip(told, true, strict=True)]
