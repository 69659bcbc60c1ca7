"""A request waits as long as its engine takes steps, and no longer."""

import asyncio

import pytest

from engine.watchdog import Watchdog

TIMEOUT_S = 0.5


async def ever() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_a_request_of_an_engine_without_a_pulse_is_given_up_and_ended() -> None:
    cancelled = asyncio.Event()

    async def request() -> None:
        try:
            await ever()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        await Watchdog(TIMEOUT_S).await_progress(request())
    assert cancelled.is_set()


async def test_a_request_that_takes_long_is_awaited_while_the_engine_takes_steps() -> None:
    watchdog = Watchdog(TIMEOUT_S)

    async def request() -> str:
        for _ in range(7):
            await asyncio.sleep(TIMEOUT_S / 5)
            watchdog.record(None, None)
        return "answer"

    assert await watchdog.await_progress(request()) == "answer"


async def test_a_request_that_fails_fails() -> None:
    async def request() -> None:
        raise ValueError("scripted")

    with pytest.raises(ValueError, match="scripted"):
        await Watchdog(TIMEOUT_S).await_progress(request())


async def test_a_caller_that_is_cancelled_ends_its_request() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def request() -> None:
        started.set()
        try:
            await ever()
        finally:
            cancelled.set()

    caller = asyncio.create_task(Watchdog(60).await_progress(request()))
    await started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert cancelled.is_set()
