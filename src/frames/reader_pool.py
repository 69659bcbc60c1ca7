"""The processes that read videos, started before there is a video: their libraries load while it is downloaded."""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from config import Settings
from errors import SandboxIncomplete
from limits.free_memory import free_memory_bytes
from sandbox.process import DecoderProcess
from sandbox.start import ProcessStart
from sandbox.wrappers import MAX_MEMORY_BYTES, missing_layers

log = logging.getLogger(__name__)

Kind = tuple[str, bool]
"""The program of a process, and whether it uses the GPU."""
PROBE, DECODE, RANGES = "decoder.probe", "decoder.decode", "decoder.ranges"
SLOWEST_PROBE_BYTES_PER_S = 50_000_000
"""A probe reads the whole file, and may take the time that this rate needs."""
MIN_MEMORY_BYTES = 2 * 2**30
"""No process is limited to less, however little memory is free. Decoding pictures of the largest size that is accepted,
8K, maps 1.8 GiB with four threads in AV1 of 10 bits, 1.1 in HEVC and 1.0 in H.264; with 16 threads 2.9, 2.8 and 1.9."""


class VideoReaders:
    """Starts the processes that read videos.

    Args:
        settings: media_timeout_s, max_concurrent_jobs and require_sandbox are used.
        decode_on_gpu: whether the decoders that are started early use the GPU.
        free_bytes: measures the free memory.
    """

    def __init__(
        self, settings: Settings, *, decode_on_gpu: bool, free_bytes: Callable[[], int] = free_memory_bytes
    ) -> None:
        self._settings = settings
        self._kinds = ((PROBE, False), (DECODE, decode_on_gpu))
        self._free_bytes = free_bytes
        self._idle = defaultdict[Kind, list[ProcessStart[DecoderProcess]]](list)
        self._jobs = 0
        # One for all: where the cores are busy, a start waits for its turn, and Python's lock is free between two.
        self._thread = ThreadPoolExecutor(1, "reader-start")

    @asynccontextmanager
    async def warm_up(self) -> AsyncIterator[None]:
        """Begin to start one process of each kind for a job whose video is still to come.

        On exit, idle processes of a kind are killed until there is at most one for each job that is still inside.

        Raises:
            SandboxIncomplete: a layer of the sandbox is missing, and the settings require all.
        """
        self._jobs += 1
        try:
            for kind in self._kinds:
                self._idle[kind].append(self._start(kind))
            yield
        finally:
            self._jobs -= 1
            async with AsyncExitStack() as ending:
                for idle in self._idle.values():
                    while len(idle) > self._jobs:
                        ending.push_async_callback(idle.pop().end)

    def take(self, module: str, *, on_gpu: bool = False) -> AbstractAsyncContextManager[DecoderProcess]:
        """Return an idle process, or a new one where none is idle; it is killed when its context is left.

        Raises:
            SandboxIncomplete: see warm_up.
        """
        idle = self._idle[module, on_gpu]
        return idle.pop(0) if idle else self._start((module, on_gpu))

    def probe_timeout_s(self, path: Path) -> float:
        """Return how long probing a file may take: at least what its size needs. Looking at the file may block."""
        size_bytes = path.stat().st_size if path.exists() else 0  # the process says that it is missing
        return max(self._settings.media_timeout_s, size_bytes / SLOWEST_PROBE_BYTES_PER_S)

    def _start(self, kind: Kind) -> ProcessStart[DecoderProcess]:
        if self._settings.require_sandbox and (missing := missing_layers()):
            raise SandboxIncomplete(f"The worker's machine cannot confine video readers fully: {'; '.join(missing)}.")
        return ProcessStart(self._thread, partial(self._started, kind))

    def _started(self, kind: Kind) -> DecoderProcess:
        module, on_gpu = kind
        return DecoderProcess(
            module, self._settings.media_timeout_s, on_gpu=on_gpu, max_memory_bytes=self._max_memory_bytes()
        )

    def _max_memory_bytes(self) -> int:
        """Return the limit for one process: of the memory that is free now, as much as every job can have.

        A job has one process at work at a time.
        """
        share_bytes = self._free_bytes() // self._settings.max_concurrent_jobs
        if share_bytes < MIN_MEMORY_BYTES:
            log.warning("memory is short: a job's share is %.1f GiB, but its media process may take %g GiB",
                        share_bytes / 2**30, MIN_MEMORY_BYTES / 2**30)  # fmt: skip
        limit_bytes = min(MAX_MEMORY_BYTES, max(MIN_MEMORY_BYTES, share_bytes))
        log.debug("a media process may take %.1f GiB", limit_bytes / 2**30)
        return limit_bytes
