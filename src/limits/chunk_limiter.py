"""Bounds how many chunks hold pixels at once, over all jobs of the worker."""

import asyncio
import logging
from collections.abc import Callable

from limits.free_memory import free_memory_bytes

log = logging.getLogger(__name__)

MIN_FREE_MEMORY_BYTES = 2 * 2**30
"""What must be free for one more chunk. A chunk at the frame budget has 75 MB of pixels and 300 MB of float32 patches,
and the patches are copied while they are made: twice that, plus a margin."""


class ChunkLimiter:
    """A semaphore with memory back-pressure.

    At most max_chunks are held at once. While less than MIN_FREE_MEMORY_BYTES are free, no further chunk is admitted
    until one is released; if none is held, one is always admitted. Waiting chunks are admitted in order.

    Args:
        max_chunks: how many chunks may be held at once.
        free_bytes: measures the free memory.
    """

    def __init__(self, max_chunks: int, free_bytes: Callable[[], int] = free_memory_bytes) -> None:
        self.held = 0
        self._max_chunks = max_chunks
        self._free_bytes = free_bytes
        self._head_of_queue = asyncio.Lock()
        self._released = asyncio.Event()

    async def acquire(self) -> None:
        """Wait until one more chunk may hold pixels."""
        async with self._head_of_queue:
            while self.held >= self._max_chunks or (self.held and self._memory_is_short()):
                self._released.clear()
                await self._released.wait()
            self.held += 1

    def release(self) -> None:
        """Give back one chunk's place."""
        self.held -= 1
        self._released.set()

    def _memory_is_short(self) -> bool:
        free_bytes = self._free_bytes()
        if free_bytes < MIN_FREE_MEMORY_BYTES:
            log.warning("memory is short: %.1f GiB free; %d chunks in flight have to end first",
                        free_bytes / 2**30, self.held)  # fmt: skip
        return free_bytes < MIN_FREE_MEMORY_BYTES
