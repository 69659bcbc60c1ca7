"""What /status shows while a job runs: progress that arrives in order, not too often, and never after the result."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from records import Answer, JobEvent, Planned, Stage

log = logging.getLogger(__name__)

# Planning takes milliseconds and is not shown.
MESSAGES = {
    Stage.DOWNLOAD: "fetching the video",
    Stage.VALIDATE: "reading the video",
    Stage.LOAD: "loading the model",
    Stage.CHUNKS: "watching and answering",
    Stage.SYNTHESIS: "merging the answers",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    stage: Stage
    fraction: float
    """0 to 1 over the whole job, never falling."""
    chunks_done: int
    num_chunks: int
    """0 before the video was read."""
    message: str


class ProgressMeter:
    """Folds the events of one job into its progress."""

    def __init__(self) -> None:
        self._num_chunks = self._num_questions = self._answers = 0

    def after(self, event: JobEvent) -> Progress | None:
        """Return the progress after the job's next event, or None if the event changes nothing that is shown."""
        match event:
            case Stage() if event in MESSAGES:
                return self._progress(event, MESSAGES[event])
            case Planned():
                self._num_chunks, self._num_questions = len(event.plan.chunks), len(event.questions)
            case Answer():
                self._answers += 1
                return self._progress(Stage.CHUNKS, f"chunk {event.chunk.index + 1} answered")
        return None

    def _progress(self, stage: Stage, message: str) -> Progress:
        fraction = stage.begins_at
        if stage is Stage.CHUNKS:
            answers = self._num_chunks * self._num_questions
            fraction += self._answers / answers * (Stage.SYNTHESIS.begins_at - stage.begins_at)
        chunks_done = self._answers // max(1, self._num_questions)
        return Progress(stage, round(fraction, 3), chunks_done, self._num_chunks, message)


class ProgressSender:
    """Sends the newest progress of one job, one update at a time, at most one per interval.

    Use it as a context manager around the job. When the context is left, an update that was on its way has arrived,
    and no other is sent: the platform takes progress and result at the same address, so a late update would overwrite
    the result (runpod-python issue 250).
    """

    def __init__(self, send: Callable[[Progress], Awaitable[None]], interval_s: float) -> None:
        self._send = send
        self._interval_s = interval_s
        self._newest: Progress | None = None
        self._changed = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._idle = asyncio.Lock()

    def report(self, progress: Progress) -> None:
        """Replace what is sent next; returns at once."""
        self._newest = progress
        self._changed.set()

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with self._idle:  # an update on its way is let through: cancelled, it might still arrive later
            assert self._sender
            self._sender.cancel()
        [failure] = await asyncio.gather(self._sender, return_exceptions=True)
        if not isinstance(failure, asyncio.CancelledError):
            log.error("progress could no longer be sent", exc_info=failure)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            started_s = time.monotonic()
            async with self._idle:
                if self._newest:
                    await self._send(self._newest)
            await asyncio.sleep(max(0.0, self._interval_s - (time.monotonic() - started_s)))
