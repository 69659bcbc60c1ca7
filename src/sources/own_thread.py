"""Runs blocking calls outside the event loop and outside asyncio's default pool of threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


async def in_own_thread(call: Callable[[], Result]) -> Result:
    """Run a blocking call in a thread that is started for it and ends with it.

    All jobs of a process share asyncio's default pool. A call that hangs there, for example a lookup whose name server
    is silent, keeps one of its few threads from every job. If the task is cancelled, the call goes on in its thread and
    its result is dropped.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="download")
    try:
        return await asyncio.get_running_loop().run_in_executor(executor, call)
    finally:
        executor.shutdown(wait=False)
