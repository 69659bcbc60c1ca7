"""Which tests run first, which of them stay in one process, and which are too slow for the quick loop."""

from collections.abc import Iterable, Sequence

import pytest

ENGINE, OWN_ENGINES = "client", "worker_settings"
"""Fixtures: the session's engine, and the settings of worker processes that start one each."""
SHARED_SCOPES = ("package", "module")
SLOW_FIXTURES = frozenset({ENGINE, OWN_ENGINES, "platform", "gate", "extractor", "serve"})
"""Whoever asks for one of these starts an engine, a worker process or a process that reads a video."""
SLOW_FILES = frozenset(
    {
        "test_cut_points.py",
        "test_dependencies.py",
        "test_every_kind_of_file.py",
        "test_fitness.py",
        "test_layers.py",
        "test_local_script.py",
        "test_process.py",
        "test_runpod_stand_in.py",
        "test_tiny_model.py",
    }
)
"""Whose tests do that by other ways, import torch, or are many."""


def arrange(items: list[pytest.Item]) -> None:
    """Sort the tests, mark the slow ones, and put those that must share a process into one group of pytest-xdist.

    What needs the session's engine comes first in its process: the engine forks from it, and it must not have run
    torch before, or the child would wait for threads that were not copied. Worker processes with engines of their own
    come next: they take longest. Tests that share a fixture of their module or package stay together, in their order.
    """
    items.sort(key=_turn)
    for item in items:
        if ENGINE in _fixtures(item):
            item.add_marker(pytest.mark.xdist_group("engine"))
        elif _shares_a_fixture(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        if is_slow(item):
            item.add_marker("slow")


def is_slow(item: pytest.Item) -> bool:
    """Whether a contributor's quick loop leaves the test out."""
    return item.path.name in SLOW_FILES or not SLOW_FIXTURES.isdisjoint(_fixtures(item))


def _turn(item: pytest.Item) -> int:
    fixtures = _fixtures(item)
    if ENGINE in fixtures:
        return 0
    if OWN_ENGINES in fixtures:
        return 1
    return 2 if _shares_a_fixture(item) else 3


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else ()


def _shares_a_fixture(item: pytest.Item) -> bool:
    definitions: Iterable[Sequence[pytest.FixtureDef[object]]] = (
        item._fixtureinfo.name2fixturedefs.values() if isinstance(item, pytest.Function) else ()
    )
    return any(definition.scope in SHARED_SCOPES for found in definitions for definition in found[-1:])
