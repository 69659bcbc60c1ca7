"""Asks Qwen3-VL: a chunk, many chunks at once, images, and the synthesis over all chunk answers."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from answers import prompts, synthesis
from answers.prompts import Message
from config import Settings
from engine.arguments import MAX_IMAGE_TOKENS, MAX_IMAGES
from errors import EngineStartFailed, InputError, NoFrames, WorkerError
from limits.chunk_limiter import ChunkLimiter
from records import ChunkResult, FrameBatch, Generation, GenerationOptions, Synthesis
from vision import MIN_FRAMES, frame_size

log = logging.getLogger(__name__)

MIN_IMAGE_TOKENS = 4
"""qwen-vl-utils IMAGE_MIN_TOKEN_NUM."""
PROMPT_RESERVE_TOKENS = 512
"""Room for instructions and the chat format in a synthesis prompt."""


class Engine(Protocol):
    """What the client needs of an engine; engine.async_engine.AsyncEngine is the real one and says what is raised."""

    max_model_len: int
    """Longest prompt plus answer, in tokens."""

    async def generate_on_frames(self, message: Message, batch: FrameBatch, options: GenerationOptions) -> Generation:
        """Answer a message about the frames of a chunk."""

    async def generate_on_images(
        self, message: Message, images: Sequence[npt.NDArray[np.uint8]], options: GenerationOptions
    ) -> Generation:
        """Answer a message about images whose sides are multiples of 32."""

    async def generate_on_text(self, message: Message, options: GenerationOptions) -> Generation:
        """Answer a message that needs no pictures."""

    def count_tokens(self, text: str) -> int:
        """Tokens of a plain text."""

    def shutdown(self) -> None:
        """Stop the engine's process; running requests fail."""


def build_engine(settings: Settings) -> Engine:
    """Load the model into a vLLM engine, blocking; importing vLLM takes seconds."""
    from engine.async_engine import AsyncEngine

    return AsyncEngine(settings)


class VLLMClient:
    """One engine for the whole worker process, loaded on first use."""

    def __init__(self, settings: Settings, build: Callable[[Settings], Engine] = build_engine) -> None:
        self._settings = settings
        self._build = build
        self._starting: asyncio.Task[Engine] | None = None
        self._chunk_limiter = ChunkLimiter(settings.max_chunks_in_flight)

    async def initialize_model(self) -> Engine:
        """Return the engine, loading it on first use; concurrent callers share one load.

        Raises:
            EngineStartFailed: the next call tries again.
        """
        if self._starting is None:
            self._starting = asyncio.create_task(asyncio.to_thread(self._build, self._settings))
            self._starting.add_done_callback(self._forget_failed_start)
        # A job that is cancelled while it waits must not lose the engine that others wait for.
        return await asyncio.shield(self._starting)

    def _forget_failed_start(self, start: asyncio.Task[Engine]) -> None:
        if start.cancelled() or start.exception():
            self._starting = None

    async def process_video_chunk(self, question: str, batch: FrameBatch, options: GenerationOptions) -> ChunkResult:
        """Answer the question on one chunk; a chunk that fails is tried once more, on half of its frames.

        A failure that leaves the engine alive is part of the result.

        Raises:
            EngineDead, EngineStartFailed: no other chunk can succeed either.
        """
        result = await self._answer(question, batch, options)
        if result.error is None or not result.num_frames:
            return result
        log.warning("chunk %d is tried again: %s", batch.chunk.index, result.error)
        fewer = batch.halved() if result.num_frames >= 2 * MIN_FRAMES else batch
        return await self._answer(question, fewer, options)

    async def _answer(self, question: str, batch: FrameBatch, options: GenerationOptions) -> ChunkResult:
        chunk = batch.chunk
        seen_until_s = min(chunk.end_s, batch.seen_until_s)
        result = ChunkResult(
            chunk,
            len(batch.times_s),
            float(batch.sample_fps),
            batch.decode_s,
            seen_until_s,
            damaged_frames=int(batch.is_damaged.sum()),
            decoding=batch.decoding,
        )
        if batch.fault:
            return replace(result, error=batch.fault)
        engine = await self.initialize_model()
        try:
            if not result.num_frames:
                raise NoFrames("No picture of this part of the video could be decoded.")
            generation = await engine.generate_on_frames(prompts.chunk_message(question, chunk), batch, options)
        except WorkerError as exc:
            if exc.refresh_worker:
                raise
            # The text alone: a kept exception's traceback would keep the pixels alive.
            return replace(result, error=str(exc), seen_until_s=chunk.start_s)
        return replace(result, generation=generation)

    async def process_chunks_parallel(
        self,
        question: str,
        batches: AsyncGenerator[FrameBatch],
        options: GenerationOptions,
        on_result: Callable[[ChunkResult], object],
    ) -> list[ChunkResult]:
        """Submit each chunk as soon as its frames exist; return the results in the order of the chunks.

        At most max_chunks_in_flight chunks, over all jobs, hold pixels at once, fewer while memory is short: the
        next batch is asked for only when there is room for it. `on_result` is called as chunks finish, in any order.

        Raises:
            EngineDead: the rest is cancelled.
        """
        tasks: list[asyncio.Task[ChunkResult]] = []

        async def one(batch: FrameBatch) -> ChunkResult:
            result = await self.process_video_chunk(question, batch, options)
            on_result(result)
            return result

        try:
            async with aclosing(self._admitted(batches)) as admitted, asyncio.TaskGroup() as group:
                async for batch in admitted:
                    task = group.create_task(one(batch))
                    # Not in `one`: a task that is cancelled before its first step never runs.
                    task.add_done_callback(lambda _task: self._chunk_limiter.release())
                    tasks.append(task)
                    del batch  # the loop would hold its pixels while it waits for the next
        except ExceptionGroup as failures:  # callers need the typed error
            raise failures.exceptions[0] from failures
        return [task.result() for task in tasks]

    async def _admitted(self, batches: AsyncGenerator[FrameBatch]) -> AsyncGenerator[FrameBatch]:
        """Pass batches on, each asked for only once the limiter admits one more; whoever takes one releases it."""
        async with aclosing(batches):
            while True:
                await self._chunk_limiter.acquire()
                batch = None
                try:
                    batch = await anext(batches, None)
                finally:
                    if batch is None:
                        self._chunk_limiter.release()
                if batch is None:
                    return
                yield batch
                del batch

    async def process_images(
        self, question: str, images: Sequence[npt.NDArray[np.uint8]], options: GenerationOptions
    ) -> Generation:
        """Answer the question about one to eight still images: uint8 (H, W, 3) RGB of any size.

        Raises:
            InputError: too many images.
            PromptTooLong, GenerationFailed, EngineDead, EngineStartFailed: see the engine.
        """
        if not 1 <= len(images) <= MAX_IMAGES:
            raise InputError(f"A request takes 1 to {MAX_IMAGES} images.")
        engine = await self.initialize_model()
        fitted = await asyncio.gather(*(asyncio.to_thread(_fit_image, image) for image in images))
        return await engine.generate_on_images(prompts.images_message(question), fitted, options)

    async def aggregate_chunk_results(
        self, question: str, results: Sequence[ChunkResult], options: GenerationOptions
    ) -> Synthesis:
        """Merge the chunks' answers into one answer to the question; a single chunk's answer stands as it is.

        Raises:
            PromptTooLong, GenerationFailed, EngineDead, EngineStartFailed: see the engine.
        """
        if len(results) == 1 and results[0].generation:
            return Synthesis(results[0].generation.text, ())
        engine = await self.initialize_model()
        # A long max_tokens must not leave the notes without room; vLLM cuts the answer where the context ends.
        answer_tokens = min(options.max_tokens, engine.max_model_len // 4)
        reserve_tokens = PROMPT_RESERVE_TOKENS + engine.count_tokens(question) + answer_tokens

        async def generate(message: Message) -> Generation:
            return await engine.generate_on_text(message, options)

        return await synthesis.merge(
            question, [prompts.note(result) for result in results], generate, engine.count_tokens,
            notes_budget_tokens=engine.max_model_len - reserve_tokens,
        )  # fmt: skip

    async def shutdown(self) -> None:
        """Stop the engine if it was started."""
        if self._starting is None:
            return
        try:
            engine = await self.initialize_model()
        except EngineStartFailed:
            return
        self._starting = None
        engine.shutdown()  # on the loop: vLLM stops its own task there


def _fit_image(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    source_height_px, source_width_px, _ = pixels.shape
    height_px, width_px = frame_size(source_height_px, source_width_px, MIN_IMAGE_TOKENS, MAX_IMAGE_TOKENS)
    resized = Image.fromarray(pixels).resize((width_px, height_px), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8)
