"""Asks Qwen3-VL: about one chunk, many chunks at once, images, and about the answers on all chunks."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing

import numpy as np
import numpy.typing as npt

from answers import prompts, scheduler, synthesis
from answers.ask import ask
from answers.forms import FORMS
from config import Settings
from engine.arguments import MAX_IMAGE_TOKENS, MAX_IMAGES
from engine.interface import Engine
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
    Message,
    PromptRoom,
    Question,
    Watched,
)
from vision import frame_size, pair_text_tokens

MIN_IMAGE_TOKENS = 4
"""qwen-vl-utils IMAGE_MIN_TOKEN_NUM."""
PROMPT_RESERVE_TOKENS = 512
"""Room for instructions and the chat format in a merge prompt."""
CHAT_FORMAT_TOKENS = 32
"""More than the chat format adds to a chunk's prompt: the marks of two turns, and the brackets of the video."""


class VLLMClient:
    """One engine for the whole worker process, loaded on first use.

    Args:
        settings: of the worker.
        build: loads the engine, blocking.
    """

    def __init__(self, settings: Settings, build: Callable[[Settings], Engine] = build_engine) -> None:
        self._owner = EngineOwner(settings, build)
        self._limiter = ChunkLimiter(settings.max_chunks_in_flight)

    async def initialize_model(self) -> Engine:
        """Return the engine, loading it on first use; concurrent callers share one load.

        Raises:
            EngineStartFailed: the next call tries again.
        """
        return await self._owner.engine()

    def loading(self) -> AbstractAsyncContextManager[None]:
        """Load the engine beside what is inside the context; see EngineOwner.loading."""
        return self._owner.loading()

    async def prompt_room(self, question: str, options: GenerationOptions, end_s: float) -> PromptRoom:
        """Return what the engine's context leaves for the frames of a chunk; loads the engine on first use.

        Args:
            question: the caller's.
            options: say how long an answer may get.
            end_s: the end of the video: no time before it takes more tokens.

        Raises:
            EngineStartFailed: see the engine.
        """
        engine = await self.initialize_model()
        asked = Question(0, question)
        whole = FORMS[asked.form].chunk_message(asked, Chunk(0, 0, end_s, end_s))
        text = f"{whole.system}\n{whole.user}"
        text_tokens = await asyncio.to_thread(engine.count_tokens, text) + CHAT_FORMAT_TOKENS
        room_tokens = engine.max_model_len - text_tokens - _answer_tokens(engine, options)
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

        At most max_chunks_in_flight chunks, over all jobs, hold pixels at once, and fewer while memory is short.
        """

        async def ask_about(question: Question, batch: FrameBatch) -> Answer:
            return await ask(await self.initialize_model(), question, batch, options)

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
        self, question: str, answers: Sequence[Answer], options: GenerationOptions
    ) -> Conclusion:
        """Merge the answers about all chunks into one; the answer about a single chunk stands as it is.

        Raises:
            PromptTooLong, GenerationFailed, EngineDead, EngineStartFailed: see the engine.
        """
        first = answers[0]
        asked, form = Question(first.question, question, first.form), FORMS[first.form]
        if len(answers) == 1 and first.is_answered:
            return Conclusion(asked.index, first.value)
        engine = await self.initialize_model()
        question_tokens = await asyncio.to_thread(engine.count_tokens, question)
        reserve_tokens = PROMPT_RESERVE_TOKENS + question_tokens + _answer_tokens(engine, options)

        async def generate(message: Message) -> Generation:
            return await engine.generate_on_text(message, options)

        merged = await synthesis.merge(
            [form.note(answer) for answer in answers],
            lambda notes: form.merge_message(asked, notes),
            generate,
            engine.count_tokens,
            notes_budget_tokens=engine.max_model_len - reserve_tokens,
        )
        return Conclusion(asked.index, form.parse(merged.text), generations=merged.generations)

    @property
    def engine_death(self) -> asyncio.Event:
        """Set when the engine has died, also between two jobs."""
        return self._owner.death

    async def shutdown(self) -> bool:
        """Stop the engine if it was started; False if it is still loading."""
        return await self._owner.shutdown()


def _answer_tokens(engine: Engine, options: GenerationOptions) -> int:
    """Return how much of the context is kept for an answer.

    A long max_tokens must not leave the prompt without room; vLLM cuts the answer where the context ends.
    """
    return min(options.max_tokens, engine.max_model_len // 4)


def _fit_image(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    source_height_px, source_width_px, _ = pixels.shape
    height_px, width_px = frame_size(source_height_px, source_width_px, MIN_IMAGE_TOKENS, MAX_IMAGE_TOKENS)
    resized = Image.fromarray(pixels).resize((width_px, height_px), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8)
