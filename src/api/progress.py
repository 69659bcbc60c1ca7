"""Progress updates that arrive in order, not too often, and never after the result."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from records import Progress


class ProgressSender:
    """Sends the newest progress of one job, one update at a time, at most one per interval.

    Used as a context manager around the job: when it is left, the update on its way has
    arrived and no other will be sent. The platform posts progress to the address of the result, so
    a late update would overwrite it (runpod-python issue 250).
    """

    def __init__(self, send: Callable[[Progress], Awaitable[None]], interval_s: float) -> None:
        self._send = send
        self._interval_s = interval_s
        self._newest: Progress | None = None
        self._changed = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._idle = asyncio.Lock()

    def report(self, progress: Progress) -> None:
        """Replace what is sent next; returns at once."""
        self._newest = progress
        self._changed.set()

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._idle:  # an update on its way is let through: cancelled, it might still arrive later
            assert self._sender
            self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            started_s = time.monotonic()
            async with self._idle:
                if self._newest:
                    await self._send(self._newest)
            await asyncio.sleep(max(0.0, self._interval_s - (time.monotonic() - started_s)))
