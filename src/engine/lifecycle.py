"""The engine's life: loaded on first use, shared by all jobs, stopped with the worker."""

import asyncio
import gc
import logging
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from config import Settings
from engine.arguments import Gpu, engine_arguments
from engine.async_engine import AsyncEngine
from engine.checkpoint import check_served
from engine.guard import guard_children
from engine.interface import Engine
from engine.watchdog import Watchdog
from errors import EngineStartFailed, first_of_group

log = logging.getLogger(__name__)

FP8_CAPABILITY = 89
MAX_FAILED_STARTS = 2
"""A first failure may be the network's or another process's; a second one is this machine's."""
DEATH_CHECK_INTERVAL_S = 1.0


class EngineOwner:
    """Loads the engine once for all who ask for it, and notices when it dies.

    Args:
        settings: of the worker.
        build: loads the model, blocking.

    Attributes:
        death: set when the engine has died, also between two jobs.
    """

    def __init__(self, settings: Settings, build: Callable[[Settings], Engine]) -> None:
        self._settings = settings
        self._build = build
        # A thread of its own, and a future that belongs to no event loop: a load outlives the loop that asked for it.
        self._thread = ThreadPoolExecutor(1, "engine-start")
        self._start: Future[Engine] | None = None
        self._started_s = 0.0
        self._failed_starts = 0
        self._watching: asyncio.Task[None] | None = None
        self.death = asyncio.Event()

    async def engine(self) -> Engine:
        """Return the engine, loading it on first use; concurrent callers share one load.

        Raises:
            EngineStartFailed: the next call tries again. After several failures in a row, and after a load that did
                not end in time, the error asks for a new worker: this one would only fail the jobs of the queue.
        """
        if self._start is None:
            self._started_s = time.monotonic()
            self._start = self._thread.submit(self._build, self._settings)
        start, timeout_s = self._start, self._settings.engine_start_timeout_s
        # Waiting, not awaiting: a caller that is cancelled must not cancel the load that others wait for.
        await asyncio.wait({asyncio.wrap_future(start)}, timeout=self._started_s + timeout_s - time.monotonic())
        if not start.done():
            failure = EngineStartFailed(f"The model was not loaded after {timeout_s:g} s.")
            failure.refresh_worker = True
            raise failure
        try:
            engine = start.result()
        except EngineStartFailed as exc:
            self._note_failure(start)
            exc.refresh_worker = self._failed_starts >= MAX_FAILED_STARTS
            raise
        self._failed_starts = 0
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(engine))
        return engine

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

    async def shutdown(self) -> bool:
        """Stop the engine if it was started; False if it is still loading, which nothing can stop."""
        if self._watching:
            self._watching.cancel()
        if self._start is None:
            return True
        if not self._start.done():
            return False
        if self._start.exception() is None:
            self._start.result().shutdown()  # on the event loop: vLLM stops its own task there
        self._start = None
        return True

    def _note_failure(self, start: Future[Engine]) -> None:
        if self._start is start:  # the first of the callers that share this load
            self._start = None
            self._failed_starts += 1

    async def _watch(self, engine: Engine) -> None:
        while not engine.is_dead:  # noqa: ASYNC110  # vLLM sets a flag, and tells nobody
            await asyncio.sleep(DEATH_CHECK_INTERVAL_S)
        log.critical("the engine died")
        self.death.set()


def build_engine(settings: Settings) -> Engine:
    """Load the model into a vLLM engine, blocking for seconds to minutes; importing vLLM alone takes seconds.

    It writes vLLM's environment variables, freezes the garbage collector and has the engine's processes guarded: each
    holds for this whole process.

    Raises:
        EngineStartFailed: the model cannot be read or does not fit; the log has the cause.
    """
    from httpx2 import HTTPError  # what Hugging Face's client raises when the Hub cannot be reached

    started_s, watchdog = time.monotonic(), Watchdog(settings.engine_stall_timeout_s)
    try:
        # Without a name of its own: loading the processor keeps this frame, which would keep vLLM's engine to the end.
        engine = AsyncEngine(
            *_start_vllm(settings, watchdog), watchdog, settings.max_model_len, settings.schema_timeout_s
        )
    except (RuntimeError, ValueError, OSError, ImportError, HTTPError) as exc:
        log.exception("the engine did not start")
        raise EngineStartFailed("The model could not be loaded; the worker's log has the cause.") from exc
    # The 700,000 objects that torch and vLLM have made stay for good. While the collector walks them, half a second or
    # more, no thread of this process runs; vLLM's own server hides them from the collector too.
    gc.collect()
    gc.freeze()
    engine.guard = guard_children()
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
    check_served(settings.model_name, config.model_config.hf_config.model_type, processor)
    return AsyncLLM.from_vllm_config(config, stat_loggers=[watchdog], disable_log_stats=True), processor
