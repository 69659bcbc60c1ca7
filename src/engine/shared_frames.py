"""The frames of one chunk, rendered once for all questions about them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

VIDEO_PLACE = "<|video_pad|>"
"""Where the frames stand in the text of a prompt, before the renderer puts their tokens there."""


class SharedFrames:
    """Makes the prompts that differ only in what stands behind the frames.

    Rendering frames costs a third of a second of CPU time for each question. What stands before them decides nothing
    about what follows: the tokens behind the frames are replaced, and the rest stays as it was rendered.

    Args:
        tokenizer: the checkpoint's.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._lock = asyncio.Lock()
        self._head = ""
        self._rendered: dict[str, Any] | None = None

    async def prompt(self, text: str, render: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Return the rendered prompt for a text about the frames.

        Args:
            text: in the model's chat format, with VIDEO_PLACE in it.
            render: renders the text with the frames; called for the first text, and for one that begins otherwise.
        """
        head, _, tail = text.partition(VIDEO_PLACE)
        async with self._lock:
            if self._rendered is None or head != self._head:
                rendered = await render()
                self._rendered, self._head = rendered, head
                return rendered
        frames = self._rendered["mm_placeholders"]["video"][0]
        kept = self._rendered["prompt_token_ids"][: frames.offset + frames.length]
        token_ids = [*kept, *self._tokenizer.encode(tail, add_special_tokens=False)]
        return self._rendered | {"prompt": text, "prompt_token_ids": token_ids}
