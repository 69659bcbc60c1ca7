"""Runs a blocking call in a thread of its own, which no other call can keep it waiting for."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(function: Callable[..., T], *args: object) -> T:
    """Return what a blocking call returns, and raise what it raises; meanwhile the event loop serves others.

    The thread starts with the call and ends with it. asyncio.to_thread takes a thread of one pool instead, which name
    lookups share too: 5 slow calls on a machine of one core, or 32 on a large one, make everything else wait. A job
    makes one such call at a time, therefore MAX_CONCURRENT_JOBS bounds the number of threads. Starting one takes a
    tenth of a millisecond.

    Cancelling this coroutine leaves the call running: whoever cancels has to end what it waits for.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix=getattr(function, "__name__", "call"))
    try:
        call = copy_context().run  # the lines that it logs name the job
        return await asyncio.get_running_loop().run_in_executor(executor, call, function, *args)
    finally:
        executor.shutdown(wait=False)
