"""The processes that read videos, started before a video is there: their libraries load while it arrives."""

from collections import defaultdict
from types import TracebackType

from media_process import Reader

SCAN, DECODE = "media.scan", "media.decode"


class VideoReaders:
    """Starts readers of videos. Whoever will soon need those of one video enters: one of each kind is started early.

    Early readers are as many as those inside; the last to leave kills the last.

    Args:
        timeout_s: see MediaProcess.
        decode_on_gpu: of what kind the early decoders are.
    """

    def __init__(self, timeout_s: float, *, decode_on_gpu: bool) -> None:
        self._timeout_s = timeout_s
        self._kinds = ((SCAN, False), (DECODE, decode_on_gpu))
        self._early = defaultdict[tuple[str, bool], list[Reader]](list)
        self._inside = 0

    def __enter__(self) -> None:
        self._inside += 1
        for kind in self._kinds:
            while len(self._early[kind]) < self._inside:
                self._early[kind].append(self._start(kind))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1
        for early in self._early.values():
            while len(early) > self._inside:
                early.pop().kill()

    def take(self, module: str, *, on_gpu: bool = False) -> Reader:
        """An early reader, or one that is started now; the caller kills it."""
        early = self._early[module, on_gpu]
        return early.pop(0) if early else self._start((module, on_gpu))

    def _start(self, kind: tuple[str, bool]) -> Reader:
        module, on_gpu = kind
        return Reader(module, self._timeout_s, on_gpu=on_gpu)
