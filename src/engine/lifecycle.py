"""The engine's life: loaded on first use, shared by all jobs, stopped with the worker."""

import asyncio
import gc
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from config import Settings
from engine.arguments import Gpu, engine_arguments
from engine.async_engine import AsyncEngine
from engine.interface import Engine
from engine.watchdog import Watchdog
from errors import EngineStartFailed, first_of_group

log = logging.getLogger(__name__)

FP8_CAPABILITY = 89


class EngineOwner:
    """Loads the engine once for all who ask for it.

    Args:
        settings: of the worker.
        build: loads the model, blocking.
    """

    def __init__(self, settings: Settings, build: Callable[[Settings], Engine]) -> None:
        self._settings = settings
        self._build = build
        self._starting: asyncio.Task[Engine] | None = None

    async def engine(self) -> Engine:
        """Return the engine, loading it on first use; concurrent callers share one load.

        Raises:
            EngineStartFailed: the next call tries again.
        """
        if self._starting is None:
            self._starting = asyncio.create_task(asyncio.to_thread(self._build, self._settings))
            self._starting.add_done_callback(self._forget_failed_start)
        # A job that is cancelled while it waits must not lose the engine that others wait for.
        return await asyncio.shield(self._starting)

    @asynccontextmanager
    async def loading(self) -> AsyncIterator[None]:
        """Load the engine beside what is inside; a load that fails ends what is inside.

        Raises:
            EngineStartFailed: the load failed.
        """
        with first_of_group():
            async with asyncio.TaskGroup() as group:
                load = group.create_task(self.engine())
                yield
                load.cancel()

    async def shutdown(self) -> None:
        """Stop the engine if it was started."""
        if self._starting is None:
            return
        try:
            engine = await self.engine()
        except EngineStartFailed:
            return
        self._starting = None
        engine.shutdown()  # on the event loop: vLLM stops its own task there

    def _forget_failed_start(self, start: asyncio.Task[Engine]) -> None:
        if start.cancelled() or start.exception():
            self._starting = None


def build_engine(settings: Settings) -> Engine:
    """Load the model into a vLLM engine, blocking for seconds to minutes; importing vLLM alone takes seconds.

    It writes vLLM's environment variables and freezes the garbage collector, both for the whole process.

    Raises:
        EngineStartFailed: the model cannot be read or does not fit; the log has the cause.
    """
    from httpx2 import HTTPError  # what Hugging Face's client raises when the Hub cannot be reached

    started_s, watchdog = time.monotonic(), Watchdog(settings.engine_stall_timeout_s)
    try:
        # Without a name of its own: loading the processor keeps this frame, which would keep vLLM's engine to the end.
        engine = AsyncEngine(*_start_vllm(settings, watchdog), watchdog, settings.max_model_len)
    except (RuntimeError, ValueError, OSError, ImportError, HTTPError) as exc:
        log.exception("the engine did not start")
        raise EngineStartFailed("The model could not be loaded; the worker's log has the cause.") from exc
    # The 700,000 objects that torch and vLLM have made stay for good. While the collector walks them, half a second or
    # more, no thread of this process runs; vLLM's own server hides them from the collector too.
    gc.collect()
    gc.freeze()
    log.info("engine ready after %.1f s: %s, context of %d tokens (ceiling %d)",
             time.monotonic() - started_s, settings.model_name, engine.max_model_len,
             settings.max_model_len)  # fmt: skip
    return engine


def _start_vllm(settings: Settings, watchdog: Watchdog) -> tuple[Any, Any]:
    """Return vLLM's AsyncLLM and the checkpoint's Hugging Face processor."""
    from vllm.platforms import current_platform

    gpu = None
    if not current_platform.is_cpu():
        gpu = Gpu(current_platform.get_device_total_memory(), current_platform.has_device_capability(FP8_CAPABILITY))
    if gpu is None:  # one process fewer to spawn: seconds for each test session
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
    from transformers import AutoProcessor
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    config = AsyncEngineArgs(**engine_arguments(settings, gpu)).create_engine_config()
    if gpu is None:  # creating the configuration has just set "spawn", which imports everything again
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
    processor = AutoProcessor.from_pretrained(settings.model_name)  # first: it keeps this frame, and all that it names
    return AsyncLLM.from_vllm_config(config, stat_loggers=[watchdog], disable_log_stats=True), processor
