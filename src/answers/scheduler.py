"""Asks every question about every chunk as soon as its frames exist, within a bound on chunks that hold pixels."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from errors import first_of_group
from limits.chunk_limiter import ChunkLimiter
from records import Answer, FrameBatch, Question, Watched


async def answer_chunks(
    batches: AsyncGenerator[FrameBatch],
    questions: Sequence[Question],
    ask: Callable[[Question, FrameBatch], Awaitable[Answer]],
    limiter: ChunkLimiter,
) -> AsyncGenerator[Watched | Answer]:
    """Yield what was watched of each chunk, in order, and every answer as it comes, in any order.

    The next batch is asked for only when the limiter has room for it, and a batch keeps its place until the last
    question about it is answered. Closing the generator cancels what is running and closes `batches`.

    Raises:
        EngineDead, EngineStartFailed: raised by `ask`; everything else is cancelled.
    """
    events: asyncio.Queue[Watched | Answer | None] = asyncio.Queue()

    async def ask_one(question: Question, batch: FrameBatch) -> None:
        events.put_nowait(await ask(question, batch))

    async def ask_all(batch: FrameBatch) -> None:
        async with asyncio.TaskGroup() as group:
            for question in questions:
                group.create_task(ask_one(question, batch))

    async def submit_all() -> None:
        async with aclosing(_admitted(batches, limiter)) as admitted, asyncio.TaskGroup() as group:
            async for batch in admitted:
                events.put_nowait(batch.watched)
                asking = group.create_task(ask_all(batch))
                # Not in `ask_all`: a task that is cancelled before its first step never runs.
                asking.add_done_callback(lambda _asking: limiter.release())
                del batch  # the loop variable would keep its pixels while the next batch is awaited

    submitting = asyncio.create_task(submit_all())
    submitting.add_done_callback(lambda _submitting: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        with first_of_group():
            submitting.result()
    finally:
        submitting.cancel()
        await asyncio.wait({submitting})


async def _admitted(batches: AsyncGenerator[FrameBatch], limiter: ChunkLimiter) -> AsyncGenerator[FrameBatch]:
    """Pass batches on, asking for each only when the limiter has room; whoever takes one releases the limiter."""
    async with aclosing(batches):
        while True:
            await limiter.acquire()
            batch = None
            try:
                batch = await anext(batches, None)
            finally:
                if batch is None:
                    limiter.release()
            if batch is None:
                return
            yield batch
            del batch
