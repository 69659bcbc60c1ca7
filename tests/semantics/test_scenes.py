"""Whole jobs about videos of which every scene is known: the worker says what was shown, and when.

The second half breaks the worker in the ways that such a worker breaks, and expects the same checks to fail.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clips
import handler
from clips import with_display_matrix
from pipeline import Services
from records import ChunkResult, FrameBatch
from tiny_model import world
from tiny_model.footage import H264, Camera, film, true_sightings
from tiny_model.wording import FIND_QUESTIONS, LIST_QUESTIONS
from tiny_model.world import NOT_SEEN, SUBJECTS, Timeline, answer_of, merged

SEED, LONG_SEED = 6, 3
"""Of clips that the test model reads without a fault, and with few."""
SAMPLE_FPS = 2.0
CHUNK_S = 8.0
# Between the instants 2.0, 2.5, 3.0 …: some begin with the first frame of a pair, some with the second.
STARTS_S = (0.0, 2.3, 5.8, 9.3, 11.2, 14.8, 18.3, 21.7)
CAMERA = Camera(360, 640, 25)
UPRIGHT_AGAIN = (0, 1, -1, 0)
"""The display matrix that turns pictures a quarter clockwise."""
CONTAINERS = {
    "mp4": H264,
    "mkv": H264,
    "avi": H264,
    "webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-b:v", "1M", "-pix_fmt", "yuv420p"),
}


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return world.random_timeline(np.random.default_rng(SEED), STARTS_S, 24.0, 640 / 360)


@pytest.fixture(scope="module")
def video(timeline: Timeline, media_root: Path) -> Path:
    return film(timeline, CAMERA, media_root / "scenes.mp4")


@dataclass
class Worker:
    """Runs jobs, keeps the frames that reach the model, and can be broken."""

    services: Services
    seen: list[FrameBatch] = field(default_factory=list)
    break_frames: Callable[[list[FrameBatch]], list[FrameBatch]] | None = None

    async def answer(self, video: Path, question: str = LIST_QUESTIONS[0], **fields: object) -> dict[str, Any]:
        job_input = {
            "video_url": str(video), "prompt": question, "temperature": 0.0, "chunk_duration": CHUNK_S,
            "sample_fps": SAMPLE_FPS, **fields,
        }  # fmt: skip
        output = await handler.answer_job({"id": "semantics", "input": job_input}, lambda _progress: None)
        assert "error" not in output, output
        return output


@pytest.fixture
def worker(services: Services, serve: Callable[[Services], None], monkeypatch: pytest.MonkeyPatch) -> Worker:
    worker = Worker(services)
    stream_frames = services.extractor.stream_frames

    async def observed(*arguments: Any, **options: Any) -> AsyncIterator[FrameBatch]:
        batches = stream_frames(*arguments, **options)
        if worker.break_frames:
            for batch in worker.break_frames([batch async for batch in batches]):
                worker.seen.append(batch)
                yield batch
        else:
            async for batch in batches:
                worker.seen.append(batch)
                yield batch

    monkeypatch.setattr(services.extractor, "stream_frames", observed)
    serve(services)
    return worker


def check_chunks(output: dict[str, Any], timeline: Timeline) -> None:
    """Each chunk's answer names the scenes of its own span, in order, each with the stamp of its first pair."""
    assert [chunk["index"] for chunk in output["chunk_results"]] == list(range(output["num_chunks"]))
    for chunk in output["chunk_results"]:
        assert chunk["text"] == answer_of(true_sightings(timeline, chunk, output["sample_fps"]))


def check_merged(output: dict[str, Any], timeline: Timeline) -> None:
    """The merged answer tells every scene of the video once."""
    parts = [true_sightings(timeline, chunk, output["sample_fps"]) for chunk in output["chunk_results"]]
    assert output["aggregated_response"] == answer_of(merged(parts))


def check_colours(batches: Sequence[FrameBatch], timeline: Timeline) -> None:
    """The subjects have the colours in which they were drawn, to a few steps of 255."""
    for batch in batches:
        drawn = world.render(timeline, batch.times_s, *batch.pixels.shape[1:3])
        for picture, original, time_s in zip(batch.pixels, drawn, batch.times_s, strict=True):
            tint = timeline.scenes[timeline.index_at(time_s)].tint
            inside = (original == tint).all(-1)
            assert np.abs(np.median(picture[inside], axis=0) - tint).max() <= 6


@pytest.mark.parametrize("container", CONTAINERS)
async def test_every_scene_is_named_with_its_time(
    worker: Worker, timeline: Timeline, media_root: Path, container: str
) -> None:
    path = film(timeline, CAMERA, media_root / f"container.{container}", CONTAINERS[container])
    output = await worker.answer(path)
    assert output["num_chunks"] == 3
    check_chunks(output, timeline)
    check_merged(output, timeline)
    check_colours(worker.seen, timeline)


async def test_a_turned_video_is_read_upright(worker: Worker, timeline: Timeline, media_root: Path) -> None:
    coded = film(timeline, CAMERA, media_root / "coded.mp4", turns=1)
    path = media_root / "turned.mp4"
    path.write_bytes(with_display_matrix(coded.read_bytes(), *UPRIGHT_AGAIN))
    output = await worker.answer(path)
    assert (output["video_info"]["width"], output["video_info"]["height"]) == (640, 360)
    check_chunks(output, timeline)


async def test_a_variable_frame_rate_shifts_nothing(worker: Worker, timeline: Timeline, media_root: Path) -> None:
    constant = film(timeline, CAMERA, media_root / "constant.mp4")
    path = media_root / "variable.mkv"
    thin = ("-vf", "select='not(mod(n,2))+lt(mod(n,40),20)'", "-fps_mode", "passthrough")
    clips.ffmpeg("-i", constant, *thin, *H264, path)
    output = await worker.answer(path)
    assert output["video_info"]["variable_frame_rate"]
    check_chunks(output, timeline)


async def test_of_the_frames_that_show_something_new_the_same_is_told(
    worker: Worker, timeline: Timeline, media_root: Path
) -> None:
    still = replace(timeline, scenes=tuple(replace(scene, dx_per_s=0, dy_per_s=0) for scene in timeline.scenes))
    path = film(still, CAMERA, media_root / "still.mp4")
    uniform = await worker.answer(path)
    adaptive = await worker.answer(path, sampling="adaptive")
    check_chunks(uniform, timeline)
    few, all_of_them = ([chunk["num_frames"] for chunk in output["chunk_results"]] for output in (adaptive, uniform))
    assert sum(few) <= sum(all_of_them) * 2 / 3
    texts = [[chunk["text"] for chunk in output["chunk_results"]] for output in (adaptive, uniform)]
    assert texts[0] == texts[1]


async def test_an_hour_into_a_long_video_times_are_those_of_the_whole(worker: Worker, media_root: Path) -> None:
    generator = np.random.default_rng(LONG_SEED)
    starts_s = [0.0, *(40.0 * index + generator.choice([-7, 5, 11]) for index in range(1, 92))]
    timeline = world.random_timeline(generator, starts_s, 3690.0, 16 / 9)
    path = film(timeline, Camera(72, 128, 1), media_root / "long.mp4")
    output = await worker.answer(path, chunk_duration=60.0, sample_fps=0.5, aggregate=False)
    assert output["num_chunks"] == 62
    late = output | {"chunk_results": [chunk for chunk in output["chunk_results"] if chunk["start_s"] >= 3600]}
    assert len(late["chunk_results"]) == 2
    for chunk in late["chunk_results"]:
        assert chunk["text"] == answer_of(true_sightings(timeline, chunk, output["sample_fps"]))
    right = [
        chunk["text"] == answer_of(true_sightings(timeline, chunk, output["sample_fps"]))
        for chunk in output["chunk_results"]
    ]
    assert np.mean(right) >= 0.9


@pytest.mark.parametrize("question", [*LIST_QUESTIONS[1:4], "Say what is on screen, and when."])
async def test_a_reworded_question_gets_the_same_answer(
    worker: Worker, timeline: Timeline, video: Path, question: str
) -> None:
    check_chunks(await worker.answer(video, question), timeline)


async def test_a_scene_that_is_asked_for_is_told_where_it_is_seen(
    worker: Worker, timeline: Timeline, video: Path
) -> None:
    wanted = timeline.scenes[4].subject
    output = await worker.answer(video, FIND_QUESTIONS[0].format(wanted))
    told = [
        [sighting for sighting in true_sightings(timeline, chunk, output["sample_fps"]) if sighting.subject == wanted]
        for chunk in output["chunk_results"]
    ]
    assert sorted(map(len, told)) == [0, 0, 1]
    assert [chunk["text"] for chunk in output["chunk_results"]] == [answer_of(part) for part in told]
    assert output["aggregated_response"] == answer_of(merged(told))


@pytest.mark.parametrize("number", [0, 3, 7])
async def test_what_is_not_shown_is_not_seen(worker: Worker, timeline: Timeline, video: Path, number: int) -> None:
    shown = {scene.subject for scene in timeline.scenes}
    absent = [subject for subject in SUBJECTS if subject not in shown][number]
    output = await worker.answer(video, FIND_QUESTIONS[0].format(absent))
    assert [chunk["text"] for chunk in output["chunk_results"]] == [NOT_SEEN] * 3
    assert output["aggregated_response"] == NOT_SEEN


async def test_a_greedy_job_says_the_same_every_time(worker: Worker, video: Path) -> None:
    first, second = await worker.answer(video), await worker.answer(video)
    assert [chunk["text"] for chunk in first["chunk_results"]] == [chunk["text"] for chunk in second["chunk_results"]]
    assert first["aggregated_response"] == second["aggregated_response"]


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
    generator = np.random.default_rng(SEED)
    return [replace(batch, pixels=generator.permutation(batch.pixels)) for batch in batches]


def first_frame_of_each_pair_twice(batches: list[FrameBatch]) -> list[FrameBatch]:
    return [replace(batch, pixels=batch.pixels[::2].repeat(2, axis=0)[: len(batch.pixels)]) for batch in batches]


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
]


@pytest.mark.parametrize("fault", FRAME_FAULTS, ids=lambda fault: fault.__name__)
async def test_the_answers_betray_frames_that_are(
    worker: Worker, timeline: Timeline, video: Path, fault: Callable[[list[FrameBatch]], list[FrameBatch]]
) -> None:
    worker.break_frames = fault
    output = await worker.answer(video)
    with pytest.raises(AssertionError):
        check_chunks(output, timeline)
    with pytest.raises(AssertionError):
        check_merged(output, timeline)


async def test_the_colours_betray_a_wrong_matrix(worker: Worker, timeline: Timeline, video: Path) -> None:
    worker.break_frames = bt601_for_bt709
    await worker.answer(video)
    with pytest.raises(AssertionError):
        check_colours(worker.seen, timeline)


async def test_the_answers_betray_chunks_out_of_order(
    worker: Worker, timeline: Timeline, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = worker.services.client
    in_order = client.process_chunks_parallel

    async def out_of_order(*arguments: Any) -> list[ChunkResult]:
        results = await in_order(*arguments)
        generations = [result.generation for result in reversed(results)]
        return [replace(result, generation=other) for result, other in zip(results, generations, strict=True)]

    monkeypatch.setattr(client, "process_chunks_parallel", out_of_order)
    output = await worker.answer(video)
    with pytest.raises(AssertionError):
        check_chunks(output, timeline)
    with pytest.raises(AssertionError):
        check_merged(output, timeline)
