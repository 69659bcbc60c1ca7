"""Does what a job's input says; a job with a gate stays in its handler until the test opens it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import runpod

PROGRESS = {"stage": "infer", "message": "chunk 1", "fraction": 0.5, "chunks_done": 1, "num_chunks": 2}
CHUNK = {"index": 0, "start_s": 0.0, "end_s": 60.0, "text": "a red square", "value": None, "error": None}
ANSWER = {
    "success": True,
    "status": "partial",
    "coverage": 0.5,
    "video_info": {"duration": 120.0, "fps": 30.0},
    "window": {"start_s": 0.0, "end_s": 120.0},
    "num_chunks": 2,
    "chunk_results": [CHUNK, {**CHUNK, "index": 1, "start_s": 60.0, "end_s": 120.0, "text": None, "error": "GONE: x"}],
    "aggregated_response": "first red",
    "aggregation_error": None,
    "results": None,
    "concessions": [],
    "total_processing_time": 1.5,
    "timings": {"chunks_s": 1.5},
    "usage": {"prompt_tokens": 10, "completion_tokens": 2, "cached_tokens": 0},
    "cost": {"gpu": None, "gpu_seconds": 1.5, "usd": None},
}
NOT_IN_AN_ESTIMATE = {"status", "coverage", "chunk_results", "aggregated_response", "aggregation_error", "results"}
ESTIMATE = {name: ANSWER[name] for name in ANSWER if name not in {*NOT_IN_AN_ESTIMATE, "usage", "cost"}} | {
    "estimate": {"seconds": 77.1, "usd": None, "frames": 7200}
}


async def pass_gate(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"inside")
        await reader.read()
    except asyncio.CancelledError:
        writer.write(b"cancelled")
        await writer.drain()
        raise
    finally:
        writer.close()


async def answer_video(job: dict[str, Any]) -> dict[str, Any]:
    url = urlsplit(job["input"]["video_url"])
    if url.path == "/broken.mp4":
        return {"error": "UNREADABLE_VIDEO: no video stream"}
    if url.path == "/estimate.mp4":
        return ESTIMATE
    if url.path == "/gated.mp4":
        runpod.serverless.progress_update(job, PROGRESS)
        await pass_gate(url.port)
    return {**ANSWER, "aggregated_response": f"first red, asked {sorted(job['input'])}"}


async def handler(job: dict[str, Any]) -> dict[str, Any]:
    order = job["input"]
    if "video_url" in order:
        return await answer_video(job)
    if "progress" in order:
        runpod.serverless.progress_update(job, order["progress"])
    if "gate" in order:
        await pass_gate(order["gate"])
    if "raises" in order:
        raise RuntimeError(order["raises"])
    return dict(order["returns"])


async def generator(job: dict[str, Any]) -> AsyncIterator[str]:
    yield "before the gate"
    await pass_gate(job["input"]["gate"])
    yield "behind the gate"


if __name__ == "__main__":
    chosen = generator if sys.argv[1:] == ["generator"] else handler
    runpod.serverless.start({"handler": chosen, "concurrency_modifier": lambda _current: 3})
