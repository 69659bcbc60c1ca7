"""How many chunks pass, and what counts as free memory."""

import asyncio
from pathlib import Path

import pytest

from limits.chunk_limiter import LEAST_FREE_BYTES, ChunkGate
from limits.free_memory import free_memory_bytes

GIB = 2**30
PLENTY = 64 * GIB


async def passed(gate: ChunkGate, count: int) -> list[asyncio.Task[None]]:
    """Chunks that want to pass, after all that can have done so."""
    waiting = [asyncio.create_task(gate.acquire()) for _ in range(count)]
    for _ in range(10 * count):
        await asyncio.sleep(0)
    return waiting


async def test_as_many_pass_as_may_and_one_more_for_each_that_leaves():
    gate = ChunkGate(3, lambda: PLENTY)
    waiting = await passed(gate, 5)
    assert [task.done() for task in waiting] == [True, True, True, False, False]
    gate.release()
    await waiting[3]
    assert gate.held == 3
    waiting[4].cancel()


async def test_while_memory_is_short_one_chunk_passes_at_a_time():
    free_bytes = LEAST_FREE_BYTES - 1
    gate = ChunkGate(3, lambda: free_bytes)
    waiting = await passed(gate, 4)
    assert [task.done() for task in waiting] == [True, False, False, False]
    gate.release()
    await waiting[1]
    assert gate.held == 1
    free_bytes = PLENTY
    gate.release()
    await asyncio.gather(*waiting)
    assert gate.held == 2


async def test_who_gives_up_waiting_takes_no_place_and_holds_up_nobody():
    gate = ChunkGate(1, lambda: PLENTY)
    first, second, third = await passed(gate, 3)
    second.cancel()
    gate.release()
    await third
    assert (first.done(), second.cancelled(), gate.held) == (True, True, 1)


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
def test_the_containers_limit_counts_where_it_is_the_lower(container: dict[str, str], free_bytes: int, tmp_path: Path):
    for name, text in (MACHINE | container).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_memory_bytes(tmp_path) == free_bytes


def test_this_machine_tells_its_own():
    assert 0 < free_memory_bytes() < 2**50
