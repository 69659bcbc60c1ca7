"""A scripted engine, for faults and orders of events that the real one cannot be made to have."""

import asyncio
from collections.abc import Callable, Sequence

from records import FrameBatch, Generation, GenerationOptions, Message


def generation(text: str, *, prompt_tokens: int = 10) -> Generation:
    return Generation(text, "stop", prompt_tokens, len(text.split()), render_s=0.0, generate_s=0.0)


class ScriptedEngine:
    """Answers a chunk with what `on_chunk` returns or raises, and texts with `on_text`.

    `held` counts the chunks in the engine. They stay until `gate` opens, if there is one, and then until the
    one of their index in `gates` does. Texts wait for `text_gate`.
    """

    def __init__(
        self,
        on_chunk: Callable[[FrameBatch], str] = lambda batch: f"chunk {batch.chunk.index}",
        on_text: Callable[[Message], str] = lambda message: f"merged {len(message.user)}",
        max_model_len: int = 4096,
    ) -> None:
        self.max_model_len = max_model_len
        self.is_dead = False
        self.gate: asyncio.Event | None = None
        self.gates: dict[int, asyncio.Event] = {}
        self.text_gate: asyncio.Event | None = None
        self.on_question: Callable[[str, FrameBatch], str] | None = None
        """In place of `on_chunk`, where the answer depends on the question."""
        self.held = 0
        self.most_held = 0
        self.messages: list[Message] = []
        self._on_chunk = on_chunk
        self._on_text = on_text

    async def generate_on_frames(self, message: Message, batch: FrameBatch, _options: GenerationOptions) -> Generation:
        self.messages.append(message)
        self.held += 1
        self.most_held = max(self.most_held, self.held)
        try:
            for gate in (self.gate, self.gates.get(batch.chunk.index)):
                await (gate.wait() if gate else asyncio.sleep(0))
            if self.on_question:
                return generation(self.on_question(message.user.rpartition("Question: ")[2], batch))
            return generation(self._on_chunk(batch))
        finally:
            self.held -= 1

    async def generate_on_images(
        self, message: Message, images: Sequence[object], _options: GenerationOptions
    ) -> Generation:
        self.messages.append(message)
        return generation(f"{len(images)} images")

    async def generate_on_text(self, message: Message, _options: GenerationOptions) -> Generation:
        self.messages.append(message)
        if self.text_gate:
            await self.text_gate.wait()
        return generation(self._on_text(message))

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def shutdown(self) -> None:
        pass
