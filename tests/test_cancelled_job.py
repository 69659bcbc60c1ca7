"""A cancelled job has no decoder a second later: the one property of this worker that is a time."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from clips import ffmpeg
from fakes import ScriptedEngine
from frames import stream
from jobs import answer, job_input, media_children

LENGTH_S, GROUP_S = 192, 8
PICTURES = f"testsrc2=size=1920x1080:rate=30:duration={GROUP_S}"
DECODER_THREADS = 4
LEAST_WORK_S = 0.05
"""Of a thread's time on a core: one that waits has none."""


@pytest.fixture(scope="module")
def much_to_decode(media_root: Path) -> Path:
    """A clip of so many large pictures, in groups of eight seconds, that its decoder is at work for seconds."""
    once, path = media_root / "eight_seconds.mp4", media_root / "much_to_decode.mp4"
    ffmpeg(*f"-f lavfi -i {PICTURES} -c:v libx264 -preset ultrafast -crf 35 -g 240 -pix_fmt yuv420p".split(), once)
    ffmpeg("-stream_loop", str(LENGTH_S // GROUP_S - 1), "-i", once, "-c", "copy", path)
    return path


def is_at_work(decoder: psutil.Process) -> bool:
    """Whether all threads that decode, and the first one, have done something."""
    at_work = [thread for thread in decoder.threads() if thread.user_time >= LEAST_WORK_S]
    return len(at_work) > DECODER_THREADS


async def decoder_at_work() -> psutil.Process:
    """Wait for the decoder until all its threads are busy."""
    async with asyncio.timeout(60):
        while True:
            for child in media_children():
                with suppress(psutil.NoSuchProcess):  # the one that read the packets ended just now
                    if "decoder.decode" in child.cmdline() and is_at_work(child):
                        return child
            await asyncio.sleep(0.01)


def group_exists(leader: psutil.Process) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, 0)
        return True
    return False


@pytest.mark.parametrize(
    ("chunk_s", "held"), [(LENGTH_S, 0), (4, 1)], ids=["before the first chunk is complete", "while a chunk is held"]
)
async def test_a_second_after_a_job_is_cancelled_its_decoder_is_gone(
    chunk_s: float,
    held: int,
    much_to_decode: Path,
    serve_with: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(stream, "_decoder_threads", lambda: DECODER_THREADS)
    engine = ScriptedEngine()
    engine.gate = asyncio.Event()
    serve_with(engine, max_chunks_in_flight=1)
    job = asyncio.create_task(answer(job_input(much_to_decode, chunk_duration=chunk_s)))
    decoder = await decoder_at_work()
    while engine.held < held:
        await asyncio.sleep(0.01)
    assert (engine.held, decoder.is_running()) == (held, True)

    cancelled_s = time.monotonic()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job

    assert not group_exists(decoder)
    assert time.monotonic() - cancelled_s < 1
