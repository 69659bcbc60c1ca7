"""Gives up a transfer that takes too long, or that is too slow to wait for."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from errors import DownloadTimeout

T = TypeVar("T")
SPEED_WINDOW_S, MIN_BYTES_PER_WINDOW = 120.0, 10**6
"""A download that brings less in one window is given up, because the GPU is paid for while a job waits. The window is
long enough for all four attempts with their pauses."""


class TimeLimit:
    """The time that the download of one source may take, in one transfer or in several; what is between is free.

    Args:
        timeout_s: for all transfers together.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = self._left_s = timeout_s

    async def run(self, transfer: Coroutine[Any, Any, T], received_bytes: Callable[[], int]) -> T:
        """Wait for a transfer and return its result; it does not outlive the call, however that ends.

        Args:
            transfer: what is done.
            received_bytes: how much it has brought so far.

        Raises:
            DownloadTimeout: the time is over, or the transfer brought less than MIN_BYTES_PER_WINDOW in a window.
        """
        clock = asyncio.get_running_loop().time
        started_s, working = clock(), asyncio.create_task(transfer)
        try:
            async with asyncio.timeout(self._left_s):
                await _wait_while_fast_enough(working, received_bytes)
        except TimeoutError as exc:
            raise DownloadTimeout(f"The source was not complete after {self._timeout_s:g} s.") from exc
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            self._left_s -= clock() - started_s
        return working.result()


async def _wait_while_fast_enough(working: asyncio.Task[T], received_bytes: Callable[[], int]) -> None:
    before_bytes = received_bytes()
    while not (await asyncio.wait({working}, timeout=SPEED_WINDOW_S))[0]:
        if received_bytes() - before_bytes < MIN_BYTES_PER_WINDOW:
            raise DownloadTimeout(
                f"The source sent less than {MIN_BYTES_PER_WINDOW / 1e6:g} MB in {SPEED_WINDOW_S:g} s."
            )
        before_bytes = received_bytes()
