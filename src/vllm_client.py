"""Asks Qwen3-VL: about one chunk, many chunks at once, images, and about the answers on all chunks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing

import numpy as np
import numpy.typing as npt

from answers import prompts, scheduler
from answers.ask import ask
from answers.conclude import conclude
from answers.forms import FORMS
from config import Settings
from engine.arguments import MAX_IMAGE_TOKENS, MAX_IMAGES
from engine.interface import CHAT_FORMAT_TOKENS, Engine, answer_tokens
from engine.lifecycle import EngineOwner, build_engine
from errors import InputError
from limits.chunk_limiter import ChunkLimiter
from records import (
    Answer,
    Chunk,
    Conclusion,
    FrameBatch,
    Generation,
    GenerationOptions,
    PromptRoom,
    Question,
    Watched,
)
from vision import frame_size, pair_text_tokens

MIN_IMAGE_TOKENS = 4
"""qwen-vl-utils IMAGE_MIN_TOKEN_NUM."""


class VLLMClient:
    """One engine for the whole worker process, loaded on first use.

    Args:
        settings: of the worker.
        build: loads the engine, blocking.
    """

    def __init__(self, settings: Settings, build: Callable[[Settings], Engine] = build_engine) -> None:
        self._owner = EngineOwner(settings, build)
        self._limiter = ChunkLimiter(settings.max_chunks_in_flight)
        # Each request takes its frames to the engine's process once more: 32 questions would fill the memory.
        self._requests = asyncio.Semaphore(settings.max_chunks_in_flight)

    async def initialize_model(self) -> Engine:
        """Return the engine, loading it on first use; concurrent callers share one load.

        Raises:
            EngineStartFailed: the next call tries again.
        """
        return await self._owner.engine()

    def loading(self) -> AbstractAsyncContextManager[None]:
        """Load the engine beside what is inside the context; see EngineOwner.loading."""
        return self._owner.loading()

    async def prompt_room(self, questions: Sequence[Question], options: GenerationOptions, end_s: float) -> PromptRoom:
        """Return what the engine's context leaves for the frames of a chunk; loads the engine on first use.

        Args:
            questions: the caller's; the longest one decides.
            options: say how long an answer may get.
            end_s: the end of the video: no time before it takes more tokens.

        Raises:
            EngineStartFailed: see the engine.
        """
        engine = await self.initialize_model()
        whole = Chunk(0, 0, end_s, end_s)
        messages = [FORMS[question.form].chunk_message(question, whole) for question in questions]
        texts = [f"{message.system}\n{message.user}" for message in messages]
        text_tokens = max(await asyncio.to_thread(lambda: [*map(engine.count_tokens, texts)])) + CHAT_FORMAT_TOKENS
        room_tokens = engine.max_model_len - text_tokens - answer_tokens(engine, options)
        return PromptRoom(room_tokens, pair_text_tokens(end_s, engine.count_tokens))

    async def process_video_chunk(self, question: str, batch: FrameBatch, options: GenerationOptions) -> Answer:
        """Answer the question about one chunk; a chunk that fails is asked once more, on half of its frames.

        A failure that leaves the engine alive is part of the answer.

        Raises:
            EngineDead, EngineStartFailed: no other chunk can succeed either.
        """
        return await ask(await self.initialize_model(), Question(0, question), batch, options)

    async def process_chunks_parallel(
        self, question: str, batches: AsyncGenerator[FrameBatch], options: GenerationOptions
    ) -> list[Answer]:
        """Ask about each chunk as soon as its frames exist; return the answers in the order of the chunks.

        Raises:
            EngineDead, EngineStartFailed: everything else is cancelled.
        """
        async with aclosing(self.stream_answers([Question(0, question)], batches, options)) as events:
            answers = [event async for event in events if isinstance(event, Answer)]
        return sorted(answers, key=lambda answer: answer.chunk.index)

    def stream_answers(
        self, questions: Sequence[Question], batches: AsyncGenerator[FrameBatch], options: GenerationOptions
    ) -> AsyncGenerator[Watched | Answer]:
        """Ask all questions about each chunk as soon as its frames exist; see answers.scheduler.

        At most max_chunks_in_flight chunks, over all jobs, hold pixels at once, and fewer while memory is short. No
        more requests than that are in the engine at once.
        """

        async def ask_about(question: Question, batch: FrameBatch) -> Answer:
            engine = await self.initialize_model()
            async with self._requests:
                return await ask(engine, question, batch, options)

        return scheduler.answer_chunks(batches, questions, ask_about, self._limiter)

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
        self, question: Question, answers: Sequence[Answer], options: GenerationOptions
    ) -> Conclusion:
        """Merge the answers to one question about all chunks; the answer about a single chunk stands as it is.

        Raises:
            PromptTooLong, GenerationFailed, EngineDead, EngineStartFailed: see the engine.
        """
        return await conclude(self.initialize_model, question, answers, options)

    @property
    def engine_death(self) -> asyncio.Event:
        """Set when the engine has died, also between two jobs."""
        return self._owner.death

    async def shutdown(self) -> bool:
        """Stop the engine if it was started; False if it is still loading."""
        return await self._owner.shutdown()


def _fit_image(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    source_height_px, source_width_px, _ = pixels.shape
    height_px, width_px = frame_size(source_height_px, source_width_px, MIN_IMAGE_TOKENS, MAX_IMAGE_TOKENS)
    resized = Image.fromarray(pixels).resize((width_px, height_px), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8)
