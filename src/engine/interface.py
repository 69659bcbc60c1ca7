"""What the worker needs of an engine."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from records import FrameBatch, Generation, GenerationOptions, Message

CHAT_FORMAT_TOKENS = 32
"""More than the chat format adds to a prompt: the marks of two turns, and the brackets of the video."""


class Engine(Protocol):
    """Generates text; engine.async_engine.AsyncEngine is the real one and says what is raised."""

    max_model_len: int
    """Longest prompt plus answer, in tokens."""

    @property
    def is_dead(self) -> bool:
        """Whether the engine can never answer again."""

    async def generate_on_frames(self, message: Message, batch: FrameBatch, options: GenerationOptions) -> Generation:
        """Answer a message about the frames of a chunk."""

    async def generate_on_images(
        self, message: Message, images: Sequence[npt.NDArray[np.uint8]], options: GenerationOptions
    ) -> Generation:
        """Answer a message about images, uint8 (H, W, 3) RGB, whose sides are multiples of 32."""

    async def generate_on_text(self, message: Message, options: GenerationOptions) -> Generation:
        """Answer a message that needs no pictures."""

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a plain text has."""

    def shutdown(self) -> None:
        """Stop the engine's process; running requests fail."""


def answer_tokens(engine: Engine, options: GenerationOptions) -> int:
    """Return how much of the context is kept for an answer.

    A long max_tokens must not leave the prompt without room; vLLM cuts the answer where the context ends.
    """
    return min(options.max_tokens, engine.max_model_len // 4)
