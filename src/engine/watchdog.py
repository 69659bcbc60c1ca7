"""Notices an engine that hangs: it is alive, and takes no step."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class Watchdog:
    """Knows when the engine last took a step: vLLM calls it after each one, as a logger of statistics.

    Args:
        timeout_s: how long a step may take.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._last_step_s = time.monotonic()

    def __call__(self, _vllm_config: Any, _engine_index: int = 0) -> Self:
        """Return itself: to vLLM it is the factory of such loggers, too."""
        return self

    def record(self, *_statistics: Any, **_more: Any) -> None:
        """Note a step."""
        self._last_step_s = time.monotonic()

    def log_engine_initialized(self) -> None:
        """Print nothing."""

    def log(self) -> None:
        """Print nothing."""

    async def await_progress(self, request: Coroutine[Any, Any, Result]) -> Result:
        """Await a request of the engine's.

        Raises:
            TimeoutError: the engine took no step for timeout_s although it had this request.
        """
        waiting, submitted_s = asyncio.create_task(request), time.monotonic()
        try:
            while not waiting.done():
                left_s = max(self._last_step_s, submitted_s) + self.timeout_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError
                await asyncio.wait({waiting}, timeout=left_s)
            return waiting.result()
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})
