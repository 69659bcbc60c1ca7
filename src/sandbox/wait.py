"""Waits for what a job must not leave behind."""

import asyncio
from typing import Any


async def wait_despite_cancellation(future: asyncio.Future[Any], timeout_s: float | None = None) -> None:
    """Wait until a future is done, or until the time is over. Cancelling this coroutine does not shorten the wait."""
    waiting = asyncio.create_task(asyncio.wait([future], timeout=timeout_s))
    cancelled: asyncio.CancelledError | None = None
    while not waiting.done():
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled:
        raise cancelled
