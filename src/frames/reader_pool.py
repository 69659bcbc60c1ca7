"""The processes that read videos, started before there is a video: their libraries load while it is downloaded."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.process import DecoderProcess

PROBE, DECODE = "decoder.probe", "decoder.decode"


class VideoReaders:
    """Starts the processes that read videos.

    Args:
        timeout_s: see SandboxedProcess.
        decode_on_gpu: whether the decoders that are started early use the GPU.
    """

    def __init__(self, timeout_s: float, *, decode_on_gpu: bool) -> None:
        self._timeout_s = timeout_s
        self._kinds = ((PROBE, False), (DECODE, decode_on_gpu))
        self._idle = defaultdict[tuple[str, bool], list[DecoderProcess]](list)
        self._jobs = 0

    @contextmanager
    def warm_up(self) -> Iterator[None]:
        """Start one process of each kind for a job whose video is still to come.

        On exit, idle processes of a kind are killed until there is at most one for each job that is still inside.
        """
        self._jobs += 1
        try:
            for kind in self._kinds:
                self._idle[kind].append(self._start(kind))
            yield
        finally:
            self._jobs -= 1
            for idle in self._idle.values():
                while len(idle) > self._jobs:
                    idle.pop().kill()

    def take(self, module: str, *, on_gpu: bool = False) -> DecoderProcess:
        """Return an idle process, or a new one where none is idle; the caller kills it."""
        idle = self._idle[module, on_gpu]
        return idle.pop(0) if idle else self._start((module, on_gpu))

    def _start(self, kind: tuple[str, bool]) -> DecoderProcess:
        module, on_gpu = kind
        return DecoderProcess(module, self._timeout_s, on_gpu=on_gpu)
