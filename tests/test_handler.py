"""Whole jobs through the handler, in this process, on the real engine where it matters."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import handler
import worker
from api.progress import Progress
from clips import H264, ffmpeg
from fakes import ScriptedEngine
from jobs import answer, job_input
from media_server import MediaServer
from pipeline import Services
from tiny_model import world
from tiny_model.footage import Camera, film

CHUNK_KEYS = {
    "index", "start_s", "end_s", "text", "value", "error", "finish_reason", "num_frames", "damaged_frames",
    "sample_fps", "prompt_tokens", "completion_tokens", "timings",
}  # fmt: skip


@pytest.mark.usefixtures("worker")
async def test_a_job_gives_the_documented_output(twelve_seconds: Path) -> None:
    output = await answer(job_input(twelve_seconds))
    assert output.keys() == {
        "success", "worker_version", "status", "coverage", "unseen", "video_info", "num_chunks", "chunk_results",
        "aggregated_response", "aggregation_error", "aggregation_finish_reason", "total_processing_time",
        "sample_fps", "frame_size", "concessions", "decoding", "timings", "usage", "window", "results", "cost",
        "aggregated_by",
    }  # fmt: skip
    assert (output["success"], output["status"], output["coverage"], output["num_chunks"]) == (True, "complete", 1, 3)
    assert output["video_info"]["duration"] == 12
    assert output["video_info"]["fps"] == 25
    chunks = output["chunk_results"]
    assert [(chunk["index"], chunk["start_s"], chunk["end_s"]) for chunk in chunks] == [
        (0, 0, 4),
        (1, 4, 8),
        (2, 8, 12),
    ]
    assert [chunk["num_frames"] for chunk in chunks] == [12, 12, 8]
    assert all(chunk.keys() == CHUNK_KEYS and chunk["text"] and chunk["error"] is None for chunk in chunks)
    for kind in ("completion_tokens", "prompt_tokens"):  # those of the synthesis come on top
        assert output["usage"][kind] > sum(chunk[kind] for chunk in chunks) > 0
    assert isinstance(output["aggregated_response"], str)
    assert sum(output["timings"].values()) == pytest.approx(output["total_processing_time"], abs=0.01)
    assert json.loads(json.dumps(output, allow_nan=False)) == output


@pytest.mark.usefixtures("worker")
async def test_without_aggregation_there_is_no_merged_answer(twelve_seconds: Path) -> None:
    output = await answer(job_input(twelve_seconds, aggregate=False))
    assert output["aggregated_response"] is None
    assert output["usage"]["completion_tokens"] == sum(chunk["completion_tokens"] for chunk in output["chunk_results"])


@pytest.mark.usefixtures("worker")
async def test_the_same_video_over_http_gives_the_same_answer(twelve_seconds: Path) -> None:
    with MediaServer() as server:
        fetched = await answer(job_input(server.serve(twelve_seconds), temperature=0.0))
    local = await answer(job_input(twelve_seconds, temperature=0.0))
    assert fetched["chunk_results"][2]["text"] == local["chunk_results"][2]["text"]
    assert fetched["aggregated_response"] == local["aggregated_response"]


@pytest.mark.usefixtures("worker")
async def test_progress_goes_through_the_stages_and_never_back(twelve_seconds: Path) -> None:
    reported: list[Progress] = []
    await answer(job_input(twelve_seconds), reported)
    stages = list(dict.fromkeys(progress.stage for progress in reported))
    assert stages == ["download", "validate", "load", "chunks", "synthesis"]
    fractions = [progress.fraction for progress in reported]
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1
    assert [progress.chunks_done for progress in reported if progress.stage == "chunks"] == [0, 1, 2, 3]


@pytest.mark.usefixtures("worker")
async def test_jobs_at_once_share_the_engine_and_keep_their_answers_apart(media_root: Path) -> None:
    videos = []
    for seed in range(3):
        timeline = world.random_timeline(np.random.default_rng(seed), [0.0, 5.3], 12.0, 16 / 9)
        videos.append(film(timeline, Camera(180, 320, 10), media_root / f"at_once_{seed}.mp4"))
    inputs = [job_input(video, temperature=0.0, max_tokens=64) for video in videos]
    alone = [await answer(single) for single in inputs]
    together = await asyncio.gather(*map(answer, inputs))
    assert [output["aggregated_response"] for output in together] == [output["aggregated_response"] for output in alone]
    assert len({output["aggregated_response"] for output in alone}) == len(videos)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (None, "object"),
        ([], "object"),
        ({}, "video_url"),
        ({"video_url": "https://host/v.mp4"}, "prompt"),
        ({"video_url": 5}, "video_url"),
        ({"video_url": ""}, "video_url"),
        ({"video_url": "x" * 9000}, "video_url"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": "x" * 20_001}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "512"}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"chunk_duration": 0.5}, "chunk_duration"),
        ({"chunk_duration": float("inf")}, "chunk_duration"),
        ({"aggregate": "yes"}, "aggregate"),
        ({"sample_fps": 0}, "sample_fps"),
        ({"sampling": "some"}, "sampling"),
        ({"seed": -1}, "seed"),
        ({"vidoe_url": "typo"}, "vidoe_url"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_starts(
    wrong: object, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "services", lambda: pytest.fail("a refused job started"))
    whole = {**job_input("https://host/v.mp4"), **wrong} if isinstance(wrong, dict) and len(wrong) == 1 else wrong
    if wrong == {"video_url": "https://host/v.mp4"}:
        whole = wrong
    output = await answer(whole)
    assert output.keys() == {"error"}
    assert output["error"].startswith("INVALID_INPUT: ")
    assert named in output["error"]


@pytest.fixture(scope="module")
def bad_files(media_root: Path, twelve_seconds: Path) -> dict[str, Path]:
    directory = media_root / "bad"
    directory.mkdir()
    whole = twelve_seconds.read_bytes()
    paths = {name: directory / f"{name}.mp4" for name in ("empty", "text", "headless", "audio", "missing")}
    paths["empty"].write_bytes(b"")
    paths["text"].write_text("This is no video.\n" * 100)
    paths["headless"].write_bytes(whole[: len(whole) // 2])  # its index stands at the end
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", paths["audio"])
    return paths


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("empty", "DOWNLOAD_FAILED"),
        ("text", "UNREADABLE_VIDEO"),
        ("headless", "UNREADABLE_VIDEO"),
        ("audio", "NO_VIDEO_STREAM"),
        ("missing", "SOURCE_NOT_FOUND"),
    ],
)
@pytest.mark.usefixtures("worker")
async def test_a_bad_file_is_one_coded_sentence_and_the_next_job_is_served(
    bad_files: dict[str, Path], twelve_seconds: Path, name: str, code: str
) -> None:
    output = await answer(job_input(bad_files[name]))
    assert output.keys() == {"error"}
    assert output["error"].startswith(f"{code}: ")
    assert output["error"].endswith(".")
    assert str(bad_files[name]) not in output["error"]
    assert (await answer(job_input(twelve_seconds, aggregate=False)))["success"]


async def test_a_cancelled_job_leaves_no_decoder_no_request_and_no_file(twelve_seconds: Path, worker: Services) -> None:
    reported: list[Progress] = []
    running = asyncio.create_task(answer(job_input(twelve_seconds, max_tokens=8192, chunk_duration=1.0), reported))
    engine: Any = await worker.client.initialize_model()
    while not engine._engine.get_num_unfinished_requests():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine._engine.get_num_unfinished_requests() == 0
    assert (await answer(job_input(twelve_seconds)))["success"]


NUM_FRAMES = {"uniform": [12, 12, 8], "keyframes": [6, 6, 4], "adaptive": [4, 4, 4]}
"""Of each chunk of a standstill of twelve seconds with a keyframe every two."""


@pytest.mark.parametrize("sampling", NUM_FRAMES)
async def test_a_job_says_which_pictures_it_wants(
    sampling: str, media_root: Path, serve_with: Callable[..., None]
) -> None:
    standstill = media_root / "standstill.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=gray:size=320x180:rate=25:duration=12", *H264.split(), "-g", "50", standstill)
    serve_with(ScriptedEngine())
    output = await answer(job_input(standstill, sampling=sampling))
    assert [chunk["num_frames"] for chunk in output["chunk_results"]] == NUM_FRAMES[sampling]


@pytest.mark.parametrize(
    ("name", "sampling", "strategy"),
    [("twelve.mp4", "uniform", "needed"), ("twelve.mp4", "keyframes", "keyframes"), ("twelve.avi", "uniform", "all")],
)
async def test_a_job_says_how_its_frames_were_got(
    name: str, sampling: str, strategy: str, twelve_seconds: Path, media_root: Path, serve_with: Callable[..., None]
) -> None:
    path = media_root / name
    ffmpeg("-i", twelve_seconds, "-c", "copy", path)
    serve_with(ScriptedEngine())
    decoding = (await answer(job_input(path, sampling=sampling)))["decoding"]
    assert (decoding["strategy"], decoding["packets"]) == (strategy, 300 if strategy == "needed" else 0)
    assert decoding["decoded"] <= decoding["packets"] * 0.8
    assert (decoding["decoded"] > 0) == (decoding["groups_alone"] > 0) == (strategy == "needed")


@pytest.mark.parametrize(
    ("policy", "limit_s"),
    [
        ({"executionTimeout": 100_000}, 90),
        ({"executionTimeout": 10**9}, 900_000),
        ({"ttl": 5}, None),
        ({"executionTimeout": None}, None),
        ({"executionTimeout": "soon"}, None),
        ({"executionTimeout": 0}, None),
        (None, None),
    ],
)
def test_a_tenth_of_the_platforms_execution_timeout_is_kept_for_delivery(policy: object, limit_s: float | None) -> None:
    assert handler.platform_limit_s({"id": "job", "policy": policy}) == limit_s
    assert handler.platform_limit_s({"id": "job"}) is None
