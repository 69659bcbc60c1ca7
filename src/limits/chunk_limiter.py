"""Bounds how many chunks hold pixels at once, over all jobs: by number, and by the memory that is free."""

import asyncio
import logging
from collections.abc import Callable

from limits.free_memory import free_memory_bytes

log = logging.getLogger(__name__)

LEAST_FREE_BYTES = 2 * 2**30
"""A chunk at the frame budget has 75 MB of pixels, and 300 MB as float32 patches, which are copied while they are made;
twice that, and a margin."""


class ChunkGate:
    """Chunks pass one after the other, `most` of them at a time; fewer while memory is short, but always one."""

    def __init__(self, most: int, free_bytes: Callable[[], int] = free_memory_bytes) -> None:
        self.held = 0
        self._most = most
        self._free_bytes = free_bytes
        self._turn = asyncio.Lock()
        self._released = asyncio.Event()

    async def acquire(self) -> None:
        """Wait until one more chunk may hold pixels."""
        async with self._turn:
            while self.held >= self._most or (self.held and self._memory_is_short()):
                self._released.clear()
                await self._released.wait()
            self.held += 1

    def release(self) -> None:
        """Let the next one pass."""
        self.held -= 1
        self._released.set()

    def _memory_is_short(self) -> bool:
        free_bytes = self._free_bytes()
        if free_bytes < LEAST_FREE_BYTES:
            log.warning("memory is short: %.1f GiB free; %d chunks in flight have to end first",
                        free_bytes / 2**30, self.held)  # fmt: skip
        return free_bytes < LEAST_FREE_BYTES
