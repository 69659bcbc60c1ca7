"""How long the event loop stands still, measured as how late its timers fire."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil

from clips import ffmpeg
from jobs import media_children
from media_server import MediaServer, dripping
from records import Answer, Chunk, GenerationOptions, Question, SampleGrid, Watched

SLOW_DOWNLOADS, SLOW_S = 8, 3.0
CANCELS = 6
NOTES = 1440
"""A day of video in chunks of a minute."""
NOTE = "<{}.2 seconds> a red square\n<{}.7 seconds> a blue circle, and then a green triangle"
AT_WORK_S = 0.3
"""Processor time after which a decoder has loaded its libraries and decodes."""


@contextmanager
def longest_pause() -> Iterator[list[float]]:
    """Measure how late the event loop's timers fire; the list's only item is the longest delay in seconds."""
    pause = [0.0]

    async def tick() -> None:
        period_s = 0.002
        while True:
            due_s = time.perf_counter() + period_s
            await asyncio.sleep(period_s)
            pause[0] = max(pause[0], time.perf_counter() - due_s)

    ticking = asyncio.create_task(tick())
    try:
        yield pause
    finally:
        ticking.cancel()


async def pause_figures(client: Any, directory: Path) -> dict[str, float]:
    """The longest pauses while downloads are slow, while a decoder is cancelled and while notes are merged."""
    return {
        "slow_downloads_block_ms": await slow_downloads_block_ms(),
        "cancel_block_ms": await cancel_block_ms(directory),
        "merge_block_ms": await merge_block_ms(client),
    }


async def slow_downloads_block_ms() -> float:
    """Eight jobs begin, download slowly for three seconds, and are cancelled."""
    import worker

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    with MediaServer() as server, longest_pause() as pause:
        sources = [server.answer(dripping(head, b"x" * 1000)) for _ in range(SLOW_DOWNLOADS)]
        jobs = [asyncio.create_task(worker.answer_job(job(source))) for source in sources]
        async with asyncio.timeout(60):
            while len(server.requests) < SLOW_DOWNLOADS:
                await asyncio.sleep(0.01)
        await asyncio.sleep(SLOW_S)
        assert not any(running.done() for running in jobs)
        for running in jobs:
            running.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    return pause[0] * 1000


async def cancel_block_ms(directory: Path) -> float:
    """A job whose decoder works on 4K pictures is cancelled; the worst of six."""
    import worker

    video = directory / "4k.mp4"
    source = ("-f", "lavfi", "-i", "testsrc2=size=3840x2160:rate=30:duration=4")
    ffmpeg(*source, "-preset", "ultrafast", "-pix_fmt", "yuv420p", video)
    worst_s = 0.0
    for _ in range(CANCELS):
        running = asyncio.create_task(worker.answer_job(job(video) | {"sample_fps": 30}))
        await decoder_at_work()
        with longest_pause() as pause:
            running.cancel()
            await asyncio.wait([running])
        assert media_children() == []
        worst_s = max(worst_s, pause[0])
    return worst_s * 1000


async def decoder_at_work() -> None:
    """Wait until a decoder has started to decode."""
    async with asyncio.timeout(120):
        while True:
            for child in media_children():
                with suppress(psutil.NoSuchProcess):  # it ended just now
                    if "decoder.decode" in child.cmdline() and child.cpu_times().user > AT_WORK_S:
                        return
            await asyncio.sleep(0.01)


async def merge_block_ms(client: Any) -> float:
    """The notes of a day are merged by the engine."""
    grid = SampleGrid(0.0, Fraction(2), 64, 96)
    chunks = [Chunk(index, index * 60.0, index * 60.0 + 60, index * 60.0 + 62) for index in range(NOTES)]
    answers = [
        Answer(Watched(chunk, grid), 0, "text", NOTE.format(int(chunk.start_s), int(chunk.start_s))) for chunk in chunks
    ]
    options = GenerationOptions(max_tokens=48, temperature=0, top_p=1, seed=None)
    with longest_pause() as pause:
        conclusion = await client.aggregate_chunk_results(Question(0, "What happens?"), answers, options)
    assert conclusion.value is not None
    return pause[0] * 1000


def job(video: Path | str, max_tokens: int = 8, **fields: object) -> dict[str, Any]:
    """A job on a video."""
    return {"video_url": str(video), "prompt": "What happens?", "max_tokens": max_tokens, **fields}
