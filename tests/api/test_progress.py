"""Progress arrives in order, not too often, and never after the result."""

import asyncio

from api.progress import Progress, ProgressSender
from records import Stage


def step(done: int) -> Progress:
    return Progress(Stage.CHUNKS, done / 10, done, 10, "")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_newest_update_is_sent_and_those_it_replaces_are_not() -> None:
    sent: list[int] = []
    arrived = asyncio.Event()

    async def send(progress: Progress) -> None:
        sent.append(progress.chunks_done)
        arrived.set()

    async with ProgressSender(send, interval_s=0.0) as sender:
        for done in range(5):
            sender.report(step(done))
        await arrived.wait()
        arrived.clear()
        sender.report(step(7))
        await arrived.wait()
    assert sent == [4, 7]


async def test_no_two_updates_come_within_an_interval() -> None:
    sent: list[int] = []

    async def send(progress: Progress) -> None:
        sent.append(progress.chunks_done)

    async with ProgressSender(send, interval_s=3600) as sender:
        sender.report(step(1))
        await settle()
        sender.report(step(2))
        await settle()
    assert sent == [1]


async def test_leaving_waits_for_the_update_on_its_way_and_sends_no_other() -> None:
    entered, release, sent = asyncio.Event(), asyncio.Event(), []

    async def send(progress: Progress) -> None:
        entered.set()
        await release.wait()
        sent.append(progress.chunks_done)

    async def job() -> None:
        async with ProgressSender(send, interval_s=0.0) as sender:
            sender.report(step(1))
            await entered.wait()
            sender.report(step(2))

    running = asyncio.create_task(job())
    await entered.wait()
    await settle()
    assert not running.done()
    release.set()
    await running
    await settle()
    assert sent == [1]


async def test_a_sender_that_fails_does_not_fail_the_job() -> None:
    async def send(_progress: Progress) -> None:
        raise OSError("no route")

    async with ProgressSender(send, interval_s=0.0) as sender:
        sender.report(step(1))
        await settle()
        sender.report(step(2))
