"""One vLLM AsyncLLM: renders and generates, and turns its failures into ours."""

import asyncio
import gc
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from engine.chat import chat_text, video_metadata
from engine.guard import Guard
from engine.sampling import generation, sampling_params
from engine.shared_frames import SharedFrames
from engine.watchdog import Watchdog
from errors import EngineDead, GenerationFailed, PromptTooLong, WorkerError
from records import FrameBatch, Generation, GenerationOptions, Message

log = logging.getLogger(__name__)

FINISH_REASONS = frozenset(["stop", "length", "repetition"])
"""Those of a request that has an answer."""
SHUTDOWN_TIMEOUT_S = 10.0
CHUNK_PRIORITY = 1
SYNTHESIS_PRIORITY = 0


class AsyncEngine:
    """Generates text from frames, images and text; many concurrent requests share its batch.

    Args:
        engine: vLLM's AsyncLLM.
        processor: the checkpoint's Hugging Face processor.
        watchdog: is told of the engine's steps.
        max_model_len: ceiling of the context in tokens.
        schema_timeout_s: how long an answer may take that a schema holds.
    """

    def __init__(
        self, engine: Any, processor: Any, watchdog: Watchdog, max_model_len: int, schema_timeout_s: float
    ) -> None:
        self._engine = engine
        self._schema_timeout_s = schema_timeout_s
        self._frames = WeakKeyDictionary[FrameBatch, SharedFrames]()
        """What is rendered stays as long as somebody holds the frames."""
        self._processor = processor
        self._watchdog = watchdog
        self.max_model_len: int = min(max_model_len, engine.model_config.max_model_len)
        self.guard: Guard | None = None
        """See engine.guard."""

    async def generate_on_frames(self, message: Message, batch: FrameBatch, options: GenerationOptions) -> Generation:
        """Answer a message about the frames of a chunk.

        Raises:
            PromptTooLong: prompt and frames exceed the context.
            GenerationFailed: the engine refused or failed this request.
            EngineDead: no request can succeed any more.
        """
        text = chat_text(self._processor, message, ["video"])
        frames = self._frames.setdefault(batch, SharedFrames(self._processor.tokenizer))

        async def render() -> Any:
            metadata = video_metadata(batch) | {"do_sample_frames": False}  # vLLM takes this word of the processor's
            return await self._render({"prompt": text, "multi_modal_data": {"video": [(batch.pixels, metadata)]}})

        return await self._generate(lambda: frames.prompt(text, render), options, CHUNK_PRIORITY)

    async def generate_on_images(
        self, message: Message, images: Sequence[npt.NDArray[np.uint8]], options: GenerationOptions
    ) -> Generation:
        """Answer a message about images: uint8 (H, W, 3) RGB, H and W multiples of 32.

        Raises:
            PromptTooLong, GenerationFailed, EngineDead: as for frames.
        """
        text = chat_text(self._processor, message, ["image"] * len(images))
        prompt = {"prompt": text, "multi_modal_data": {"image": list(images)}}
        return await self._generate(lambda: self._render(prompt), options, CHUNK_PRIORITY)

    async def generate_on_text(self, message: Message, options: GenerationOptions) -> Generation:
        """Answer a message that needs no pictures.

        Raises:
            PromptTooLong, GenerationFailed, EngineDead: as for frames.
        """
        prompt = {"prompt": chat_text(self._processor, message)}
        return await self._generate(lambda: self._render(prompt), options, SYNTHESIS_PRIORITY)

    @property
    def is_dead(self) -> bool:
        """Whether the engine's process has died."""
        return self._engine is not None and bool(self._engine.errored)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a plain text has."""
        return len(self._processor.tokenizer.encode(text, add_special_tokens=False))

    def shutdown(self) -> None:
        """Stop the engine's process, blocking; running requests fail. Call it on the engine's event loop."""
        self._engine.shutdown(timeout=SHUTDOWN_TIMEOUT_S)
        if self.guard:  # not left to end by itself: it guards the SDK's process too, which lives on
            self.guard.terminate()
            self.guard.wait()
        gc.unfreeze()  # else the interpreter's end finds leaks and lists them
        self._engine = None  # vLLM's finaliser fails when the interpreter is already going down

    async def _generate(
        self, render: Callable[[], Awaitable[Any]], options: GenerationOptions, priority: int
    ) -> Generation:
        from vllm.exceptions import VLLMError
        from vllm.v1.engine.exceptions import EngineDeadError

        submitted_s = time.monotonic()
        try:
            rendered = await render()
        except (VLLMError, ValueError) as exc:
            raise self._refusal() from exc
        self._check_length(rendered)
        rendered_s = time.monotonic()
        try:
            # The engine looks at a schema outside its steps, and other requests go on meanwhile.
            async with asyncio.timeout(self._schema_timeout_s if options.schema is not None else None) as deadline:
                requests = self._engine.generate(
                    rendered, sampling_params(options), uuid.uuid4().hex, priority=priority
                )
                finished = await self._watchdog.await_progress(_collected(requests))
        except TimeoutError as exc:
            if deadline.expired():
                raise GenerationFailed("The engine took too long for an answer of this form.") from exc
            log.critical("the engine took no step for %g s", self._watchdog.timeout_s)
            raise EngineDead("The engine hangs; this worker restarts. Send the job again.") from exc
        except EngineDeadError as exc:
            raise EngineDead(EngineDead.SENTENCE) from exc
        except (VLLMError, ValueError) as exc:
            raise self._refusal() from exc
        # A request that the engine aborts or fails ends like any other, with another reason.
        if not finished or finished[-1].outputs[0].finish_reason not in FINISH_REASONS:
            raise GenerationFailed("The engine gave no answer.")
        return generation(finished[-1], rendered_s - submitted_s, time.monotonic() - rendered_s)

    def _check_length(self, rendered: Any) -> None:
        prompt_tokens = len(rendered["prompt_token_ids"])
        if prompt_tokens >= self.max_model_len:
            raise PromptTooLong(f"The prompt has {prompt_tokens} tokens; the context holds {self.max_model_len}.")

    def _refusal(self) -> WorkerError:
        """Return the error for the vLLM exception that is being handled."""
        if self._engine.errored:
            return EngineDead(EngineDead.SENTENCE)
        log.error("the engine refused a request", exc_info=True)  # noqa: LOG014  # its callers handle exceptions
        return GenerationFailed("The engine refused the request.")

    async def _render(self, prompt: dict[str, Any]) -> Any:
        """Tokenise and preprocess on the renderer's threads.

        A raw prompt given to `generate` would queue text-only requests behind the frames of others.
        """
        from vllm.exceptions import VLLMValidationError
        from vllm.renderers.inputs.preprocess import parse_model_prompt

        renderer = self._engine.renderer
        parsed = parse_model_prompt(self._engine.model_config, prompt)
        try:
            (rendered,) = await renderer.render_cmpl_async([parsed], renderer.default_cmpl_tok_params)
        except VLLMValidationError as exc:
            raise PromptTooLong("The prompt does not fit the model's context.") from exc
        return rendered


async def _collected(requests: AsyncIterator[Any]) -> list[Any]:
    return [output async for output in requests]
