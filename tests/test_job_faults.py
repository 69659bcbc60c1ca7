"""What a job answers when something in it fails: what can be had, and a sentence on what cannot."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from answers.prompts import CUT_MARK
from clips import H264, REPRODUCIBLE, ffmpeg
from clock import LoopClock, comes_true
from errors import EngineDead, GenerationFailed
from fakes import ScriptedEngine
from frames.reader_pool import DECODE, VideoReaders
from jobs import answer, job_input, media_children
from media_server import MediaServer, dripping
from records import FrameBatch, Generation, GenerationOptions, Message
from sandbox.process import DecoderProcess

ServeWith = Callable[..., None]
LARGE_FRAMES = {"min_frame_tokens": 128, "max_frame_tokens": 256, "max_chunks_in_flight": 1}
"""Those of a chunk fill the pipe several times, so the decoder of a job in work is there to be struck."""


def failing_reader() -> DecoderProcess:
    return DecoderProcess("decoder.missing", 30)


async def test_a_chunk_that_fails_makes_the_result_partial(twelve_seconds: Path, serve_with: ServeWith) -> None:
    def fail_first(batch: FrameBatch) -> str:
        if batch.chunk.index == 0:
            raise GenerationFailed("scripted")
        return "seen"

    serve_with(ScriptedEngine(fail_first))
    output = await answer(job_input(twelve_seconds))
    assert (output["success"], output["status"]) == (True, "partial")
    assert output["coverage"] == pytest.approx(2 / 3, abs=1e-3)
    assert output["chunk_results"][0]["text"] is None
    assert output["chunk_results"][0]["error"] == "GENERATION_FAILED: scripted"
    assert output["unseen"] == [{"start_s": 0.0, "end_s": 4.0, "reason": "not_answered"}]


@pytest.mark.parametrize(
    ("fault", "code"), [(signal.SIGKILL, "UNREADABLE_VIDEO: "), (signal.SIGSTOP, "MEDIA_TIMEOUT: ")]
)
async def test_a_decoder_that_fails_in_the_middle_loses_one_chunk(
    fault: signal.Signals, code: str, twelve_seconds: Path, serve_with: ServeWith
) -> None:
    def strike_at_first(batch: FrameBatch) -> str:
        if batch.chunk.index == 0:
            (decoder,) = media_children()
            decoder.send_signal(fault)
        return "seen"

    serve_with(
        ScriptedEngine(strike_at_first), **LARGE_FRAMES, media_timeout_s=5.0
    )  # more than a decoder takes on a busy machine
    output = await answer(job_input(twelve_seconds))
    assert (output["success"], output["status"]) == (True, "partial")
    assert [chunk["text"] for chunk in output["chunk_results"]] == ["seen", None, "seen"]
    assert output["chunk_results"][1]["error"].startswith(code)
    assert output["coverage"] == pytest.approx(2 / 3, abs=1e-3)
    assert output["unseen"] == [{"start_s": 4.0, "end_s": 8.0, "reason": "not_decoded"}]


@pytest.mark.parametrize(("cpu_fails", "second"), [(False, "seen"), (True, None)])
async def test_the_cpu_goes_on_where_the_decoder_on_the_gpu_fails(
    second: str | None,
    twelve_seconds: Path,
    serve_with: ServeWith,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cpu_fails: bool,
) -> None:
    """The decoder that is told to use the GPU uses the CPU here, until it is killed."""
    started: list[bool] = []
    take, start = VideoReaders.take, DecoderProcess.__init__

    def noted(
        readers: VideoReaders, module: str, *, on_gpu: bool = False
    ) -> AbstractAsyncContextManager[DecoderProcess]:
        if module == DECODE:
            started.append(on_gpu)
        return failing_reader() if cpu_fails and len(started) == 2 else take(readers, module, on_gpu=on_gpu)

    def start_without_gpu(reader: DecoderProcess, module: str, timeout_s: float, **options: Any) -> None:
        start(reader, module, timeout_s, **(options | {"on_gpu": False}))

    def strike_the_gpu(_batch: FrameBatch) -> str:
        if started == [True]:
            (decoder,) = media_children()
            decoder.kill()
        return "seen"

    monkeypatch.setattr(VideoReaders, "take", noted)
    monkeypatch.setattr(DecoderProcess, "__init__", start_without_gpu)
    serve_with(ScriptedEngine(strike_the_gpu), **LARGE_FRAMES, decoder="cuda")
    output = await answer(job_input(twelve_seconds))
    assert [chunk["text"] for chunk in output["chunk_results"]] == ["seen", second, "seen"]
    assert started == [True, False, False][: len(started)]


@pytest.mark.parametrize("faults", [1, 2])
async def test_a_decoder_that_fails_on_the_first_chunk_loses_that_alone(
    faults: int, twelve_seconds: Path, serve_with: ServeWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = faults
    take = VideoReaders.take

    def failing_at_first(
        readers: VideoReaders, module: str, *, on_gpu: bool = False
    ) -> AbstractAsyncContextManager[DecoderProcess]:
        nonlocal left
        if module != DECODE or not left:
            return take(readers, module, on_gpu=on_gpu)
        left -= 1
        return failing_reader()

    monkeypatch.setattr(VideoReaders, "take", failing_at_first)
    serve_with(ScriptedEngine(lambda _batch: "seen"), **LARGE_FRAMES)
    output = await answer(job_input(twelve_seconds))
    if faults == 1:
        assert [chunk["text"] for chunk in output["chunk_results"]] == [None, "seen", "seen"]
        assert (output["status"], output["coverage"]) == ("partial", pytest.approx(2 / 3, abs=1e-3))
    else:
        assert output == {"error": "UNREADABLE_VIDEO: The video could not be decoded."}


async def test_a_decoder_that_fails_again_at_once_is_not_started_for_every_chunk(
    twelve_seconds: Path, serve_with: ServeWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike_for_good(_batch: FrameBatch) -> str:
        (decoder,) = media_children()
        decoder.kill()
        monkeypatch.setattr(VideoReaders, "take", lambda *_, **__: failing_reader())
        return "seen"

    serve_with(ScriptedEngine(strike_for_good), **LARGE_FRAMES)
    output = await answer(job_input(twelve_seconds, chunk_duration=3.0))
    assert [chunk["text"] for chunk in output["chunk_results"]] == ["seen", None, None, None]
    assert {chunk["error"] for chunk in output["chunk_results"][1:]} == {
        "UNREADABLE_VIDEO: The video could not be decoded."
    }


@pytest.mark.parametrize("encoder_threads", [1, 4])
async def test_damage_in_the_middle_is_told_and_is_the_same_every_time(
    encoder_threads: int, media_root: Path, serve_with: ServeWith
) -> None:
    """With the number of the encoder's threads it changes which packets of a Matroska file vanish."""
    whole, damaged = media_root / "whole.mkv", media_root / "damaged.mkv"
    source = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=12")
    ffmpeg(*source, *H264.split(), *REPRODUCIBLE, "-threads", str(encoder_threads), whole)
    content = bytearray(whole.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + len(content) // 16)
    content[middle] = np.random.default_rng(6).bytes(middle.stop - middle.start)
    damaged.write_bytes(content)

    serve_with(ScriptedEngine())
    first, second = [await answer(job_input(damaged)) for _ in range(2)]
    counts = [chunk["damaged_frames"] for chunk in first["chunk_results"]]
    assert (first["success"], first["status"]) == (True, "partial")
    assert (counts[0], counts[2]) == (0, 0)
    assert 0 < counts[1] < first["chunk_results"][1]["num_frames"]
    assert 2 / 3 < first["coverage"] < 1
    assert sum(span["end_s"] - span["start_s"] for span in first["unseen"]) / 12 == pytest.approx(
        1 - first["coverage"], abs=1e-3
    )
    assert all(4 <= span["start_s"] < span["end_s"] <= 8 for span in first["unseen"])
    assert {span["reason"] for span in first["unseen"]} <= {"damaged", "missing"}
    for output in (first, second):
        del output["timings"], output["total_processing_time"], output["cost"]
        for chunk in output["chunk_results"]:
            del chunk["timings"]
    assert first == second


async def test_a_job_whose_time_is_over_returns_what_was_answered(
    twelve_seconds: Path, serve_with: ServeWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the platform's 1000 s the job takes 900: 810 for its chunks, and the rest for merging their answers."""
    clock = LoopClock(monkeypatch)
    engine = ScriptedEngine()
    engine.gates = {1: asyncio.Event()}
    engine.text_gate = asyncio.Event()
    serve_with(engine)
    job = asyncio.create_task(answer(job_input(twelve_seconds), policy={"executionTimeout": 1_000_000}))
    await comes_true(lambda: len(engine.messages) == 3 and engine.held == 1)
    clock.advance(850)
    await comes_true(lambda: len(engine.messages) == 4)
    clock.advance(100)
    output = await job
    assert (output["success"], output["status"]) == (True, "partial")
    assert [chunk["text"] for chunk in output["chunk_results"]] == ["chunk 0", None, "chunk 2"]
    assert output["chunk_results"][1]["error"] == "TIMEOUT: The job's time was over before this part was answered."
    assert output["aggregation_error"] == "TIMEOUT: The job's time was over before the answers were merged."
    assert engine.held == 0


async def test_a_job_whose_time_is_over_before_its_video_is_read_fails(
    twelve_seconds: Path, serve_with: ServeWith
) -> None:
    serve_with(ScriptedEngine(), job_timeout_s=0.01)
    output = await answer(job_input(twelve_seconds))
    assert output["error"].startswith("TIMEOUT: The job's time was over before ")


async def test_a_job_without_an_answer_in_time_fails(
    twelve_seconds: Path, serve_with: ServeWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = LoopClock(monkeypatch)
    engine = ScriptedEngine()
    engine.gate = asyncio.Event()
    serve_with(engine, job_timeout_s=1000)
    job = asyncio.create_task(answer(job_input(twelve_seconds)))
    await comes_true(lambda: engine.held > 0)
    clock.advance(1000)
    assert (await job)["error"] == "TIMEOUT: The job's time was over before this part was answered."


@pytest.mark.parametrize("container", ["mp4", "mkv"])
async def test_a_truncated_file_makes_the_result_partial(
    container: str, twelve_seconds: Path, serve_with: ServeWith
) -> None:
    whole, half = twelve_seconds.with_name(f"index_first.{container}"), twelve_seconds.with_name(f"half.{container}")
    ffmpeg("-i", twelve_seconds, "-c", "copy", "-movflags", "faststart", whole)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    serve_with(ScriptedEngine())
    output = await answer(job_input(half))
    info = output["video_info"]
    assert (output["success"], output["status"], info["truncated"]) == (True, "partial", True)
    assert info["duration"] + info["missing"] == pytest.approx(12)
    assert output["coverage"] == pytest.approx(info["duration"] / 12, abs=1e-3)
    assert output["unseen"] == [
        {"start_s": info["duration"], "end_s": pytest.approx(12), "reason": "truncated"},
    ]


async def test_a_failed_synthesis_leaves_the_chunks_answers(twelve_seconds: Path, serve_with: ServeWith) -> None:
    def fail(_message: Message) -> str:
        raise GenerationFailed("scripted")

    serve_with(ScriptedEngine(on_text=fail))
    output = await answer(job_input(twelve_seconds))
    assert (output["success"], output["status"], output["coverage"]) == (True, "partial", 1)
    assert (output["aggregated_response"], output["aggregation_error"]) == (None, "GENERATION_FAILED: scripted")
    assert [chunk["text"] for chunk in output["chunk_results"]] == ["chunk 0", "chunk 1", "chunk 2"]


async def test_answers_that_were_cut_are_counted_and_told_to_the_merge_and_to_the_caller(
    twelve_seconds: Path, serve_with: ServeWith
) -> None:
    class CutEngine(ScriptedEngine):
        """Reaches max_tokens in every answer but that about the first chunk."""

        async def generate_on_frames(
            self, message: Message, batch: FrameBatch, options: GenerationOptions
        ) -> Generation:
            whole = await super().generate_on_frames(message, batch, options)
            return replace(whole, finish_reason="length") if batch.chunk.index else whole

        async def generate_on_text(self, message: Message, options: GenerationOptions) -> Generation:
            return replace(await super().generate_on_text(message, options), finish_reason="length")

    engine = CutEngine()
    serve_with(engine)
    output = await answer(job_input(twelve_seconds))
    assert (output["status"], output["coverage"]) == ("partial", 1)
    assert [chunk["finish_reason"] for chunk in output["chunk_results"]] == ["stop", "length", "length"]
    assert output["aggregation_finish_reason"] == "length"
    said = " ".join(output["concessions"])
    assert "2 of 3 chunk answers were cut" in said
    assert "the merged answer was cut" in said
    merge = engine.messages[-1].user
    assert [f"chunk {index}{CUT_MARK}" in merge for index in range(3)] == [False, True, True]


async def test_a_job_fails_if_every_chunk_fails(twelve_seconds: Path, serve_with: ServeWith) -> None:
    def fail(_batch: FrameBatch) -> str:
        raise GenerationFailed("scripted")

    serve_with(ScriptedEngine(fail))
    output = await answer(job_input(twelve_seconds))
    assert output["error"].startswith("ALL_CHUNKS_FAILED: ")
    assert "GENERATION_FAILED: scripted" in output["error"]


async def test_a_dead_engine_asks_for_a_new_worker(twelve_seconds: Path, serve_with: ServeWith) -> None:
    def die(_batch: FrameBatch) -> str:
        raise EngineDead("gone")

    serve_with(ScriptedEngine(die))
    assert await answer(job_input(twelve_seconds)) == {"error": "ENGINE_DEAD: gone", "refresh_worker": True}


async def test_a_dead_engine_ends_all_jobs_whatever_they_wait_for(twelve_seconds: Path, serve_with: ServeWith) -> None:
    def die(_batch: FrameBatch) -> str:
        raise EngineDead("gone")

    serve_with(ScriptedEngine(die), download_allow_private=("127.0.0.1",))
    with MediaServer() as server:
        fetching = asyncio.create_task(answer(job_input(server.answer(dripping(b"", b"")))))
        await answer(job_input(twelve_seconds))
        for ended in (await fetching, await answer(job_input(twelve_seconds))):
            assert ended["error"].startswith("ENGINE_DEAD: ")
            assert ended["refresh_worker"]


async def test_decoders_start_while_the_video_downloads_and_end_with_the_job(serve_with: ServeWith) -> None:
    serve_with(ScriptedEngine(lambda _batch: "seen"), download_allow_private=("127.0.0.1",))
    with MediaServer() as server:
        job = asyncio.create_task(answer(job_input(server.answer(dripping(b"", b"")))))
        await comes_true(lambda: len(media_children()) >= 2)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
    assert media_children() == []


async def test_an_unexpected_error_is_coded_and_reveals_nothing(twelve_seconds: Path, serve_with: ServeWith) -> None:
    def fail(_batch: FrameBatch) -> str:
        raise KeyError("/secret/path")

    serve_with(ScriptedEngine(fail))
    output = await answer(job_input(twelve_seconds))
    assert output["error"].startswith("INTERNAL: ")
    assert "secret" not in output["error"]
