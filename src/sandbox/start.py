"""Starts processes in a thread: Python keeps its lock until the new program runs, which takes long on busy cores."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import copy_context
from types import TracebackType
from typing import Generic, TypeVar

from sandbox.process import SandboxedProcess
from sandbox.wait import wait_despite_cancellation

Process = TypeVar("Process", bound=SandboxedProcess)


class ProcessStart(Generic[Process]):
    """A start that is begun at once. As a context manager it gives the process, and kills it at the end.

    Args:
        thread: starts the process. It has to outlive it: the kernel kills a process when the thread that started it
            ends.
        start: blocks.
    """

    def __init__(self, thread: Executor, start: Callable[[], Process]) -> None:
        self._call = thread.submit(copy_context().run, start)
        self._process = asyncio.wrap_future(self._call)

    async def __aenter__(self) -> Process:
        try:
            return await asyncio.shield(self._process)
        except asyncio.CancelledError:
            await self.end()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.end()

    async def end(self) -> None:
        """Do not start the process any more, or kill it and wait until it is gone; cancelling does not shorten that."""
        if self._call.cancel():
            return
        try:
            await wait_despite_cancellation(self._process)
        finally:
            if not self._process.exception():
                async with self._process.result():
                    pass
