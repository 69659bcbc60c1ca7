"""No slow call of one job keeps another job's reading, decoding or cleaning up waiting for a thread."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import pytest

from clips import HEIGHT_PX, NUM_PICTURES, WIDTH_PX, ClipStore
from frame_extractor import FrameExtractor
from job_directory import job_directory
from own_thread import in_own_thread
from records import Chunk, SampleGrid

MORE_THAN_ANY_POOL = 40
"""asyncio's own has at most 32 threads."""


@pytest.fixture
async def full_pool() -> AsyncIterator[None]:
    """Every thread of asyncio's pool is held by a call that returns when the test ends."""
    gate = threading.Event()
    calls = [asyncio.create_task(asyncio.to_thread(gate.wait)) for _ in range(MORE_THAN_ANY_POOL)]
    yield
    gate.set()
    await asyncio.gather(*calls)


async def test_slow_calls_of_eight_jobs_keep_no_other_call_waiting() -> None:
    gate, num_jobs = threading.Event(), 8
    slow = [asyncio.create_task(in_own_thread(gate.wait)) for _ in range(num_jobs * 4)]

    assert await in_own_thread(len, "four") == 4

    assert not any(call.done() for call in slow)
    gate.set()
    await asyncio.gather(*slow)


@pytest.mark.usefixtures("full_pool")
async def test_a_full_thread_pool_keeps_no_video_from_being_probed_decoded_and_removed(
    clips: ClipStore, extractor: FrameExtractor, tmp_path: Path
) -> None:
    async with job_directory(tmp_path) as directory:
        path = directory / "source"
        path.write_bytes(clips.clip("h264.mp4").path.read_bytes())
        info = await extractor.get_video_info(path)
        grid, chunk = SampleGrid(info.start_s, Fraction(25), HEIGHT_PX, WIDTH_PX), Chunk(0, 0, 3, 3)
        batch = await extractor.extract_frames(path, info, grid, chunk)
        assert len(batch.pixels) == NUM_PICTURES
    assert not directory.exists()


async def test_what_the_call_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await in_own_thread(int, "four")


async def test_the_call_sees_the_callers_context_variables_so_that_its_log_lines_name_the_job() -> None:
    job = contextvars.ContextVar[str]("job")
    job.set("a job")
    assert await in_own_thread(job.get) == "a job"


async def test_the_thread_ends_with_its_call() -> None:
    thread = await in_own_thread(threading.current_thread)
    thread.join(10)
    assert not thread.is_alive()


async def test_a_cancelled_call_goes_on_without_its_caller() -> None:
    begun, gate, ended = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        gate.wait()
        ended.set()

    caller = asyncio.create_task(in_own_thread(call))
    await in_own_thread(begun.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.set()
    assert await in_own_thread(ended.wait, 10)
