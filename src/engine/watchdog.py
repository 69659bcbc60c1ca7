"""Notices that an engine hangs: it lives, and takes no step."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

Answer = TypeVar("Answer")


class Pulse:
    """When the engine last took a step. To vLLM it is a logger of statistics, which is called after each."""

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def __call__(self, _vllm_config: Any, _engine_index: int = 0) -> Self:
        """Be the factory of such loggers, too."""
        return self

    def record(self, *_statistics: Any, **_more: Any) -> None:
        """Take note of a step."""
        self._last_s = time.monotonic()

    def log_engine_initialized(self) -> None:
        """Nothing is printed."""

    def log(self) -> None:
        """Nothing is printed."""

    async def unless_it_stops(self, request: Coroutine[Any, Any, Answer], timeout_s: float) -> Answer:
        """Await a request of the engine's.

        Raises:
            TimeoutError: the engine took no step for timeout_s, while it had this request.
        """
        waiting, submitted_s = asyncio.create_task(request), time.monotonic()
        try:
            while not waiting.done():
                left_s = max(self._last_s, submitted_s) + timeout_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError
                await asyncio.wait({waiting}, timeout=left_s)
            return waiting.result()
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})
