"""`make bench-gpu`: the worker on a GPU, with the real shapes of Qwen3-VL-8B and random weights.

The speed is real; the answers are noise. Every stage runs in its own process and leaves its log in .cache/bench_gpu;
if a stage fails, its log has the figures measured until then.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import numpy as np

from benchmarks.bench_ingest import MAIN, duration_of, film, ratio, rounds, run_ffmpeg
from benchmarks.qwen3_vl_8b import write_checkpoint
from benchmarks.report import publish
from engine_process import engine_process
from errors import EngineDead
from records import Chunk, FrameBatch, GenerationOptions, Message
from synthetic_frames import frame_batch

WORK = ROOT / ".cache" / "bench_gpu"
FRAMES, HEIGHT_PX, WIDTH_PX = 120, 320, 640
"""One minute at two frames per second: 12,000 vision tokens, close to the limit of a chunk."""
TEXT_TOKENS = 12_000
ROUNDS = 5
IN_FLIGHT = (1, 4, 16, 32)
HOUR_S = 3600
ANSWER_TOKENS = 128
DECODERS = ("worker", "worker_fast", "full_decode", "pyav", "opencv", "ffmpeg_pipe")
"""The contenders of the ingest benchmark that need no packages other than vLLM's dependencies."""
TARGETS = {"engine: hour: wall_s": "<= 60", "engine: hour: gpu_waits": "<= 0.05"}


def main() -> None:
    """Run all stages; with `stage NAME`, run one of them in this process."""
    if sys.argv[1:2] == ["stage"]:
        figures = STAGES[sys.argv[2]]()
        _results(sys.argv[2]).write_text(json.dumps(figures))
        return
    WORK.mkdir(parents=True, exist_ok=True)
    write_checkpoint(WORK / "checkpoint")
    figures = {}
    for name in STAGES:
        figures[name] = _measured(name)
        print(json.dumps({name: figures[name]}), flush=True)
    publish("gpu", figures, TARGETS)


def _results(name: str) -> Path:
    return WORK / f"{name}.json"


def _measured(name: str) -> dict[str, Any]:
    """Run a stage in a new process and return its figures; they and the log stay in WORK."""
    environment = {
        "MODEL_NAME": str(WORK / "checkpoint"), "LOAD_FORMAT": "dummy", "VIDEO_ROOTS": str(ROOT / ".cache"),
        "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "MAX_CHUNKS_IN_FLIGHT": str(max(IN_FLIGHT)),
    }  # fmt: skip
    with (WORK / f"{name}.log").open("w") as log:
        command = [sys.executable, __file__, "stage", name]
        subprocess.run(command, check=True, env=environment | os.environ, stdout=log, stderr=log)
    figures: dict[str, Any] = json.loads(_results(name).read_text())
    return figures


def decoding_figures() -> dict[str, Any]:
    """Decode the main film of the ingest benchmark, with this machine's cores and with the GPU's decoder."""
    some = rounds(MAIN, DECODERS)
    os.environ["DECODER"] = "cuda"
    with gpu_use() as use:
        on_gpu = rounds(MAIN, ["worker"])
    worker_s, on_gpu_s = (statistics.median(each["worker"]["wall_s"] for each in done) for done in (some, on_gpu))
    return {
        "vs_full_decode": ratio(some, "worker", "full_decode"),
        "vs_full_decode_fast": ratio(some, "worker_fast", "full_decode"),
        "speedup": {peer: ratio(some, peer, "worker") for peer in DECODERS[3:]},
        "video_s_a_s": duration_of(MAIN) / worker_s,
        "on_gpu_vs_cpu": on_gpu_s / worker_s,
        "gpu_decoder_busy": use["decoder_busy"],
    }


async def engine_figures() -> dict[str, Any]:
    """Measure one engine, configured as in production except for more chunks in flight."""
    import worker

    figures: dict[str, Any] = {"start_s": await start_engine_s()}
    client, chunks = worker.services().client, new_chunks()
    await answered_s(client, [next(chunks) for _ in range(2)])  # warms up
    keep(figures)
    for in_flight in IN_FLIGHT:
        figures[f"prefill_{in_flight}"] = await prefill_figures(client, chunks, in_flight)
        keep(figures)
    figures["text_tokens_a_s"] = await text_tokens_a_s(client)
    keep(figures)
    figures["decode_tokens_a_s"] = await decode_tokens_a_s(client, chunks)
    keep(figures)
    figures["hour"] = await hour_figures(worker)
    keep(figures)
    figures["death_noticed_s"] = await death_noticed_s(client, next(chunks))
    return figures


def keep(figures: Mapping[str, Any]) -> None:
    """Log the figures so far, for the case that the stage runs out of time."""
    print(json.dumps(figures), flush=True)


async def start_engine_s() -> float:
    """Seconds to start the worker's engine, including the imports of vLLM and torch."""
    import worker

    started_s = time.perf_counter()
    import vllm

    if vllm.__version__ < "0.32":
        speak_to_older_vllm()
    await worker.services().client.initialize_model()
    return time.perf_counter() - started_s


def speak_to_older_vllm() -> None:
    """Adapt to vLLM 0.26, for machines with its version of PyTorch.

    Two things have other names there. It also normalises pixels to floats before they go to the engine; that is
    switched off here, since later versions normalise on the GPU. The answers are noise either way.
    """
    import vllm.exceptions

    from engine import lifecycle
    from engine.arguments import engine_arguments

    def arguments(*given: Any) -> dict[str, Any]:
        found = engine_arguments(*given)
        of_videos = found["mm_processor_kwargs"]["videos_kwargs"]
        del of_videos["do_sample_frames"]  # it comes with the metadata
        of_videos |= {"do_rescale": False, "do_normalize": False}
        return found

    vars(lifecycle)["engine_arguments"] = arguments
    vllm.exceptions.VLLMError = ValueError


def options(max_tokens: int) -> GenerationOptions:
    """Options for greedy decoding."""
    return GenerationOptions(max_tokens=max_tokens, temperature=0, top_p=1, seed=None)


def new_chunks() -> Iterator[FrameBatch]:
    """Yield chunks without end, all different, which keeps caches from answering."""
    noise = frame_batch(FRAMES, HEIGHT_PX, WIDTH_PX)
    number = int.from_bytes(os.urandom(4))
    while True:
        number += 1
        pixels = noise.pixels.copy()
        pixels[0, 0, :16, 0] = np.frombuffer(number.to_bytes(16), np.uint8)
        yield replace(noise, pixels=pixels)


async def answered_s(client: Any, batches: list[FrameBatch], max_tokens: int = 1) -> tuple[float, int, int]:
    """Answer chunks at once; return the seconds, the prompt tokens and the completion tokens."""

    async def stream() -> AsyncGenerator[FrameBatch]:
        for index, batch in enumerate(batches):
            yield replace(batch, watched=replace(batch.watched, chunk=Chunk(index, 0, 60, 60)))

    started_s = time.perf_counter()
    results = await client.process_chunks_parallel("What?", stream(), options(max_tokens))
    wall_s = time.perf_counter() - started_s
    assert not any(result.error for result in results), [result.error for result in results]
    generations = [one for result in results for one in result.generations]
    return wall_s, sum(one.prompt_tokens for one in generations), sum(one.completion_tokens for one in generations)


async def prefill_figures(client: Any, chunks: Iterator[FrameBatch], in_flight: int) -> dict[str, float]:
    """Prompt tokens per second with `in_flight` chunks at once, and the share of time in which the GPU was idle."""
    rates, waits = [], []
    for _ in range(ROUNDS):
        batches = [next(chunks) for _ in range(in_flight)]
        with gpu_use() as use:
            wall_s, prompt_tokens, _ = await answered_s(client, batches)
        rates.append(prompt_tokens / wall_s)
        waits.append(1 - use["busy"])
    return {"tokens_a_s": statistics.median(rates), "gpu_waits": statistics.median(waits)}


async def text_tokens_a_s(client: Any) -> float:
    """Tokens per second of text prompts as long as a chunk's: the language model without the vision tower."""

    engine = await client.initialize_model()
    word_tokens = engine.count_tokens(" white cross" * 100) / 100
    rates = []
    for number in range(ROUNDS):
        words = " white cross" * int(TEXT_TOKENS / word_tokens)
        messages = [Message(f"{number} {part}", words) for part in range(8)]
        started_s = time.perf_counter()
        generations = await asyncio.gather(*(engine.generate_on_text(message, options(1)) for message in messages))
        rates.append(sum(one.prompt_tokens for one in generations) / (time.perf_counter() - started_s))
    return statistics.median(rates)


async def decode_tokens_a_s(client: Any, chunks: Iterator[FrameBatch]) -> float:
    """Tokens generated per second for sixteen chunks at once, without their prefill."""
    batches = [next(chunks) for _ in range(16)]
    await answered_s(client, batches)
    short_s, _, _ = await answered_s(client, batches)  # answered from the prefix cache, like the next call
    long_s, _, completion_tokens = await answered_s(client, batches, max_tokens=257)
    return (completion_tokens - 16) / (long_s - short_s)


async def hour_figures(worker: Any) -> dict[str, Any]:
    """Run a job on one hour of 1080p H.264, and decode its frames alone."""
    video, services = hour_of_video(), worker.services()
    asked = {"video_url": str(video), "prompt": "What happens?", "max_tokens": ANSWER_TOKENS, "temperature": 0}
    with gpu_use() as use:
        started_s = time.perf_counter()
        output = await worker.answer_job(asked)
        wall_s = time.perf_counter() - started_s
    assert output.get("coverage") == 1, output.get("error")
    info = await services.extractor.get_video_info(video)
    plan = services.processor.calculate_optimal_chunks(info)
    started_s = time.perf_counter()
    async for batch in services.extractor.stream_frames(video, info, plan.grid, plan.chunks):
        del batch
    return {
        "wall_s": wall_s,
        "gpu_waits": 1 - use["busy"],
        "chunks": len(output["chunk_results"]),
        "prompt_tokens": output["usage"]["prompt_tokens"],
        "frames_alone_s": time.perf_counter() - started_s,
        **{stage: seconds for stage, seconds in output["timings"].items() if isinstance(seconds, float)},
    }


def hour_of_video() -> Path:
    """The main film of the ingest benchmark, repeated for an hour."""
    video = WORK / "hour.mp4"
    if not video.exists():
        times = HOUR_S // duration_of(MAIN)
        run_ffmpeg(video, "-stream_loop", str(times), "-i", str(film(MAIN)), "-t", str(HOUR_S), "-c", "copy")
    return video


async def death_noticed_s(client: Any, batch: FrameBatch) -> float:
    """Seconds from the death of the engine's process until the chunk in progress fails with EngineDead."""
    answering = asyncio.create_task(client.process_video_chunk("What?", batch, options(4096)))
    await asyncio.sleep(3)  # until the request is rendered and running
    engine_process().kill()
    started_s = time.perf_counter()
    try:
        await answering
    except EngineDead:
        return time.perf_counter() - started_s
    raise AssertionError("the chunk was answered by a dead engine")


@contextmanager
def gpu_use() -> Iterator[dict[str, float]]:
    """Measure the shares of time in which the GPU and its video decoder were busy, as the driver counts them."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,utilization.decoder", "--format=csv,noheader,nounits"]
    use = {"busy": 0.0, "decoder_busy": 0.0}
    with subprocess.Popen([*query, "-lms", "100"], stdout=subprocess.PIPE, text=True) as watcher:
        try:
            yield use
        finally:
            watcher.terminate()
            samples = [line.split(",") for line in watcher.communicate()[0].splitlines() if line.count(",") == 1]
            for column, key in enumerate(use):
                shares = [float(sample[column]) / 100 for sample in samples if sample[column].strip().isdigit()]
                use[key] = statistics.fmean(shares) if shares else 0.0


STAGES = {"decoding": decoding_figures, "engine": lambda: asyncio.run(engine_figures())}

if __name__ == "__main__":
    main()
