"""How many chunks are admitted, and what counts as free memory."""

import asyncio
from pathlib import Path

import pytest

from limits.chunk_limiter import MIN_FREE_MEMORY_BYTES, ChunkLimiter
from limits.free_memory import free_memory_bytes

GIB = 2**30
PLENTY = 64 * GIB


async def request_places(limiter: ChunkLimiter, count: int) -> list[asyncio.Task[None]]:
    """Tasks that each ask for a place, once all those that can get one have it."""
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(count)]
    for _ in range(10 * count):
        await asyncio.sleep(0)
    return waiting


async def test_the_limit_of_chunks_is_admitted_and_one_more_for_each_release():
    limiter = ChunkLimiter(3, lambda: PLENTY)
    waiting = await request_places(limiter, 5)
    assert [task.done() for task in waiting] == [True, True, True, False, False]
    limiter.release()
    await waiting[3]
    assert limiter.held == 3
    waiting[4].cancel()


async def test_while_memory_is_short_one_chunk_is_admitted_at_a_time():
    free_bytes = MIN_FREE_MEMORY_BYTES - 1
    limiter = ChunkLimiter(3, lambda: free_bytes)
    waiting = await request_places(limiter, 4)
    assert [task.done() for task in waiting] == [True, False, False, False]
    limiter.release()
    await waiting[1]
    assert limiter.held == 1
    free_bytes = PLENTY
    limiter.release()
    await asyncio.gather(*waiting)
    assert limiter.held == 2


async def test_a_cancelled_waiter_takes_no_place_and_does_not_block_the_next():
    limiter = ChunkLimiter(1, lambda: PLENTY)
    first, second, third = await request_places(limiter, 3)
    second.cancel()
    limiter.release()
    await third
    assert (first.done(), second.cancelled(), limiter.held) == (True, True, 1)


MACHINE = {
    "proc/meminfo": f"MemTotal: {2 * PLENTY // 1024} kB\nMemAvailable: {PLENTY // 1024} kB\nHugePages_Total: 0\n"
}


def version_2(limit: object, used: int, cached: int) -> dict[str, str]:
    return {
        "sys/fs/cgroup/memory.max": f"{limit}\n",
        "sys/fs/cgroup/memory.current": f"{used}\n",
        "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {cached}\n",
    }


def version_1(limit: int, used: int, cached: int) -> dict[str, str]:
    return {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{limit}\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{used}\n",
        "sys/fs/cgroup/memory/memory.stat": f"inactive_file 1\ntotal_inactive_file {cached}\n",
    }


@pytest.mark.parametrize(
    ("container", "free_bytes"),
    [
        ({}, PLENTY),
        (version_2("max", GIB, 0), PLENTY),
        (version_2(8 * GIB, 7 * GIB, 2 * GIB), 3 * GIB),
        (version_2(512 * GIB, GIB, 0), PLENTY),
        (version_1(8 * GIB, 7 * GIB, 2 * GIB), 3 * GIB),
        (version_1(2**63 - 4096, GIB, 0), PLENTY),
    ],
)
def test_the_lower_of_the_machines_and_the_containers_free_memory_counts(
    container: dict[str, str], free_bytes: int, tmp_path: Path
):
    for name, text in (MACHINE | container).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_memory_bytes(tmp_path) == free_bytes


def test_the_free_memory_of_this_machine_is_read():
    assert 0 < free_memory_bytes() < 2**50
