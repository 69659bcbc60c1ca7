"""`make bench-worker`: the worker's own overhead. README.md in this directory explains each key."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import psutil

from benchmarks.memory import peak_memory
from benchmarks.pauses import job, longest_pause, pause_figures
from benchmarks.questions import question_figures
from benchmarks.report import publish
from clips import ffmpeg
from engine_process import engine_process
from records import FrameBatch, GenerationOptions
from synthetic_frames import frame_batch
from tiny_model.environment import environment

TARGETS = {
    "batched_speedup": ">= 1.5",
    "overhead_ms": "<= 100",
    "max_loop_block_ms": "<= 50",
    "slow_downloads_block_ms": "<= 50",
    "cancel_block_ms": "<= 50",
    "merge_block_ms": "<= 50",
    "end_to_end_ratio": "<= 1.15",
    "four_prompts_ratio": "<= 1.5",
    "cached_token_share": ">= 0.95",
    "window_ratio": "<= 1.2",
    "estimate_error": "0.8 to 1.25",
    "rss_growth": "<= 0.10",
    "import_s": "< 2",
}
ROUNDS = 5
CHUNKS = 8
OPTIONS = GenerationOptions(max_tokens=48, temperature=0, top_p=1, seed=None)
SHORT_S, LONG_S, TWENTY_CHUNKS_S = 300, 7200, 1200


def main() -> None:
    """Measure everything; with `memory VIDEO`, run one job and print its peak memory."""
    if sys.argv[1:2] == ["memory"]:
        print(asyncio.run(peak_bytes_of_job(Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as directory:
        os.environ |= environment() | {"VIDEO_ROOTS": directory, "DOWNLOAD_ALLOW_PRIVATE": "127.0.0.1"}
        figures = {"import_s": import_s()}
        figures |= memory_figures(Path(directory))
        figures |= asyncio.run(engine_figures(Path(directory)))
    publish("worker", figures, TARGETS)


def import_s() -> float:
    """Seconds to import the handler, minus those of an empty program."""

    def run_s(code: str) -> float:
        started_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], cwd=ROOT / "src", check=True)
        return time.perf_counter() - started_s

    return statistics.median(run_s("import handler") - run_s("") for _ in range(ROUNDS))


def memory_figures(directory: Path) -> dict[str, float]:
    """Peak memory of a job on a short video and on a long one, each in a new process.

    The limit on chunks in flight is low enough that the short video's five chunks reach it too.
    """
    image = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_ARENA_MAX": "2"}  # as in the Dockerfile
    bounded = os.environ | image | {"MAX_CHUNKS_IN_FLIGHT": "4"}
    peaks = []
    for duration_s in (SHORT_S, LONG_S):
        video = synthetic_video(directory, duration_s)
        command = [sys.executable, __file__, "memory", str(video)]
        peaks.append(int(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=bounded).stdout))
    return {"rss_growth": peaks[1] / peaks[0] - 1, "peak_rss_mb": peaks[1] / 1e6}


def synthetic_video(directory: Path, duration_s: int) -> Path:
    """Make a small video of the given length: one minute is encoded and then repeated."""
    minute, video = directory / "minute.mp4", directory / f"{duration_s}s.mp4"
    if not minute.exists():
        source = "testsrc2=size=640x360:rate=10:duration=60"
        ffmpeg("-f", "lavfi", "-i", source, "-preset", "ultrafast", "-pix_fmt", "yuv420p", minute)
    if not video.exists():
        ffmpeg("-stream_loop", str(duration_s // 60 - 1), "-i", minute, "-c", "copy", video)
    return video


async def peak_bytes_of_job(video: Path) -> int:
    """Run a job and return the peak memory of this process and its children together."""
    import worker

    with peak_memory() as peak:
        output = await worker.answer_job(job(video, max_tokens=4))
        await worker.services().client.shutdown()
    assert output["coverage"] == 1, output
    return peak[0]


async def engine_figures(directory: Path) -> dict[str, float]:
    """Measure batching, overhead and the event loop's longest pause, all on one engine."""
    import worker

    services = worker.services()
    engine: Any = await services.client.initialize_model()
    figures = {"batched_speedup": await batched_speedup(services.client)}
    video = synthetic_video(directory, SHORT_S)
    await worker.answer_job(job(video))  # warms up: the first job loads what later ones find loaded
    overheads_ms, probes_ms = [], []
    with longest_pause() as pause:
        for _ in range(ROUNDS):
            overhead_ms, probe_ms = await overhead_of_job(engine, video)
            overheads_ms.append(overhead_ms)
            probes_ms.append(probe_ms)
    figures |= {
        "overhead_ms": statistics.median(overheads_ms),
        "probe_ms": statistics.median(probes_ms),
        "max_loop_block_ms": pause[0] * 1000,
    }
    figures |= await pause_figures(services.client, directory)
    figures |= await question_figures(services.client, partial(synthetic_video, directory))
    twenty_chunks = synthetic_video(directory, TWENTY_CHUNKS_S)
    figures["on_shared_cores"] = await end_to_end_ratio(services, twenty_chunks)
    give_the_engine_a_core_of_its_own()
    figures["end_to_end_ratio"] = await end_to_end_ratio(services, twenty_chunks)
    await services.client.shutdown()
    return figures


def give_the_engine_a_core_of_its_own() -> None:
    """Give the engine one core and everything else the others, as if the engine ran on a GPU."""
    engine_core, *others = sorted(os.sched_getaffinity(0))
    this = psutil.Process()
    for process, cores in ((engine_process(), [engine_core]), (this, others or [engine_core])):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, cores)


async def batched_speedup(client: Any) -> float:
    """Time for chunks in sequence divided by the time for as many at once. No chunk is used twice."""
    seeds = iter(range(10_000))

    def fresh() -> list[FrameBatch]:
        return [frame_batch(32, 64, 96, seed=next(seeds), index=index) for index in range(CHUNKS)]

    async def stream(batches: list[FrameBatch]) -> AsyncGenerator[FrameBatch]:
        for batch in batches:
            yield batch

    ratios = []
    for _ in range(ROUNDS + 1):
        one_by_one, at_once = fresh(), fresh()
        started_s = time.perf_counter()
        for batch in one_by_one:
            await client.process_video_chunk("What happens?", batch, OPTIONS)
        middle_s = time.perf_counter()
        await client.process_chunks_parallel("What happens?", stream(at_once), OPTIONS)
        ratios.append((middle_s - started_s) / (time.perf_counter() - middle_s))
    return statistics.median(ratios[1:])  # the first round warms up


async def end_to_end_ratio(services: Any, video: Path) -> float:
    """Time for a job's chunks divided by the time of the slower of its two parts alone, decoding and answering."""
    info = await services.extractor.get_video_info(video)
    plan = services.processor.calculate_optimal_chunks(info)

    def decoded() -> AsyncGenerator[FrameBatch]:
        stream: AsyncGenerator[FrameBatch] = services.extractor.stream_frames(video, info, plan.grid, plan.chunks)
        return stream

    async def held() -> AsyncGenerator[FrameBatch]:
        for batch in batches:
            yield batch

    async def answered_s(stream: AsyncGenerator[FrameBatch]) -> float:
        await engine._engine.reset_prefix_cache()
        await engine._engine.reset_encoder_cache()
        started_s = time.perf_counter()
        await services.client.process_chunks_parallel("What happens?", stream, OPTIONS)
        return time.perf_counter() - started_s

    engine = await services.client.initialize_model()
    ratios = []
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        batches = [batch async for batch in decoded()]
        decoding_s = time.perf_counter() - started_s
        ratios.append(await answered_s(decoded()) / max(decoding_s, await answered_s(held())))
    return statistics.median(ratios)


async def overhead_of_job(engine: Any, video: Path) -> tuple[float, float]:
    """Milliseconds from the start of a job to its first vLLM request, without reading the source; and of the probe."""
    import worker

    generate = engine._engine.generate
    first_request_s = float("inf")

    def timed(*arguments: Any, **options: Any) -> Any:
        nonlocal first_request_s
        first_request_s = min(first_request_s, time.perf_counter())
        return generate(*arguments, **options)

    engine._engine.generate = timed
    started_s = time.perf_counter()
    output = await worker.answer_job(job(video))
    engine._engine.generate = generate
    timings, first_chunk = output["timings"], output["chunk_results"][0]["timings"]
    reading_s = timings["download_s"] + timings["validate_s"] + first_chunk["decode_s"]
    return 1000 * (first_request_s - started_s - reading_s), 1000 * timings["validate_s"]


if __name__ == "__main__":
    main()
