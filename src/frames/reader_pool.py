"""The processes that read videos, started before a video is there: their libraries load while it arrives."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.process import DecoderProcess

SCAN, DECODE = "decoder.probe", "decoder.decode"


class VideoReaders:
    """Starts readers of videos.

    Args:
        timeout_s: see SandboxedProcess.
        decode_on_gpu: of what kind the decoders are that are started early.
    """

    def __init__(self, timeout_s: float, *, decode_on_gpu: bool) -> None:
        self._timeout_s = timeout_s
        self._kinds = ((SCAN, False), (DECODE, decode_on_gpu))
        self._early = defaultdict[tuple[str, bool], list[DecoderProcess]](list)
        self._jobs = 0

    @contextmanager
    def started_early(self) -> Iterator[None]:
        """Start one of each kind for a job whose video will come; when it ends, no more are left than other jobs."""
        self._jobs += 1
        try:
            for kind in self._kinds:
                self._early[kind].append(self._start(kind))
            yield
        finally:
            self._jobs -= 1
            for early in self._early.values():
                while len(early) > self._jobs:
                    early.pop().kill()

    def take(self, module: str, *, on_gpu: bool = False) -> DecoderProcess:
        """One that was started early, or is now; the caller kills it."""
        early = self._early[module, on_gpu]
        return early.pop(0) if early else self._start((module, on_gpu))

    def _start(self, kind: tuple[str, bool]) -> DecoderProcess:
        module, on_gpu = kind
        return DecoderProcess(module, self._timeout_s, on_gpu=on_gpu)
