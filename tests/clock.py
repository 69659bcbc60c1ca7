"""The event loop's clock, which a test can put forward: what waits for a time need not be waited for."""

import asyncio
from collections.abc import Callable

import pytest


class LoopClock:
    """Puts the clock of the running event loop forward, for its timers too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._ahead_s = 0.0
        time_s = loop.time
        monkeypatch.setattr(loop, "time", lambda: time_s() + self._ahead_s)

    def advance(self, seconds: float) -> None:
        """Let this much time be over at once."""
        self._ahead_s += seconds


async def comes_true(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait until a condition holds; the time only bounds how long a broken worker is waited for.

    Raises:
        TimeoutError: it did not come true.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)
