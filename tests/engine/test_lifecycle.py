"""One load for all, bounded tries, and an engine whose death is noticed between two jobs."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from config import Settings
from engine import lifecycle
from engine.lifecycle import MAX_FAILED_STARTS, EngineOwner
from errors import EngineStartFailed
from fakes import ScriptedEngine


def failing(_settings: Settings) -> ScriptedEngine:
    raise EngineStartFailed("no memory")


async def failure_of(owner: EngineOwner) -> EngineStartFailed:
    with pytest.raises(EngineStartFailed) as failure:
        await owner.engine()
    return failure.value


async def test_an_engine_that_cannot_start_asks_for_a_new_worker_after_a_bounded_number_of_tries() -> None:
    owner = EngineOwner(Settings(), failing)
    asked = [(await failure_of(owner)).refresh_worker for _ in range(MAX_FAILED_STARTS + 1)]
    assert asked == [False] * (MAX_FAILED_STARTS - 1) + [True, True]


async def test_callers_that_share_a_failed_load_count_as_one_failure() -> None:
    owner = EngineOwner(Settings(), failing)
    failures = await asyncio.gather(*(failure_of(owner) for _ in range(MAX_FAILED_STARTS + 1)))
    assert [failure.refresh_worker for failure in failures] == [False] * (MAX_FAILED_STARTS + 1)


async def test_a_start_that_succeeds_forgets_the_failures_before_it() -> None:
    builds: list[Callable[[Settings], ScriptedEngine]] = [failing, lambda _settings: ScriptedEngine()]

    def build(settings: Settings) -> ScriptedEngine:
        return builds.pop(0)(settings)

    owner = EngineOwner(Settings(), build)
    await failure_of(owner)
    assert await owner.engine() is await owner.engine()
    await owner.shutdown()


async def test_a_load_that_does_not_end_in_time_fails_and_asks_for_a_new_worker() -> None:
    release = threading.Event()

    def hang(_settings: Settings) -> ScriptedEngine:
        release.wait()
        return ScriptedEngine()

    owner = EngineOwner(Settings(engine_start_timeout_s=0.01), hang)
    failure = await failure_of(owner)
    assert failure.refresh_worker
    assert "after 0.01 s" in str(failure)
    assert not await owner.shutdown()  # it is still loading
    release.set()


async def test_a_failed_load_ends_what_runs_beside_it() -> None:
    owner = EngineOwner(Settings(), failing)

    async def wait_for_ever() -> None:
        async with owner.loading():
            await asyncio.Event().wait()

    with pytest.raises(EngineStartFailed):
        await asyncio.wait_for(wait_for_ever(), 20)


async def test_what_runs_beside_a_load_does_not_wait_for_it_when_it_fails_first() -> None:
    release = threading.Event()

    def slow(_settings: Settings) -> ScriptedEngine:
        release.wait()
        return ScriptedEngine()

    owner = EngineOwner(Settings(), slow)
    with pytest.raises(KeyError):
        async with owner.loading():
            raise KeyError
    release.set()
    assert isinstance(await owner.engine(), ScriptedEngine)  # the load went on
    await owner.shutdown()


async def test_an_engine_that_dies_while_no_job_runs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "DEATH_CHECK_INTERVAL_S", 0)
    engine = ScriptedEngine()
    owner = EngineOwner(Settings(), lambda _settings: engine)
    await owner.engine()
    assert not owner.death.is_set()
    engine.is_dead = True
    await asyncio.wait_for(owner.death.wait(), 20)
