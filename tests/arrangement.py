"""Which tests run first, which of them share a process, and which are too slow for the quick loop.

The processes of pytest-xdist get whole files, and the files with the session's engine go to one of them. This is not
left to its marker `xdist_group`: version 3.8 writes the group where pytest 9.2 does not look for it.
"""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

ENGINE = "client"
"""The fixture that starts the session's engine, and what the group of its files is called."""
ENGINE_FILES = frozenset(
    {
        "test_dependencies.py",  # it asks for no engine, but imports vLLM, as the engine's process has
        "test_engine.py",
        "test_faults.py",
        "test_handler.py",
        "test_local_script.py",
        "test_forms_on_engine.py",
        "test_parity.py",
        "test_questions.py",
        "test_scenes.py",
        "test_tiny_model.py",  # torch, likewise
    }
)
"""Their tests run in one process."""
LONGEST_FIRST = (
    "test_foreign.py",
    "test_worker_process.py",
    "test_serve.py",
    "test_every_kind_of_file.py",
    "test_video_processor.py",
    "test_corpus.py",
    "test_hostile_files.py",
    "test_frame_extractor_times.py",
    "test_job_faults.py",
    "test_frame_extractor.py",
    "test_runpod_stand_in.py",
    "test_frame_extractor_pictures.py",
    "test_colours.py",
)
"""Files after those with the engine; all others come later, and fill the gaps."""
SLOW_FIXTURES = frozenset({ENGINE, "worker_settings", "platform", "extractor", "mostly_in_process", "serve"})
"""Whoever asks for one of these starts an engine, a worker process or a process that reads a video."""
SLOW_FILES = frozenset(
    {
        "test_cut_points.py",
        "test_dependencies.py",
        "test_every_kind_of_file.py",
        "test_foreign.py",
        "test_independence.py",
        "test_layers.py",
        "test_process.py",
        "test_runpod_stand_in.py",
        "test_serve.py",
        "test_stopping_worker.py",
        "test_tiny_model.py",
    }
)
"""Their tests do the like by other ways, import torch, or are many."""


def arrange(items: list[pytest.Item]) -> None:
    """Sort the tests and mark the slow ones.

    What needs the session's engine comes first in its process: the engine forks from it, and it must not have run
    torch before, or the child would wait for threads that were not copied.

    Raises:
        pytest.UsageError: a test asks for the engine outside ENGINE_FILES.
    """
    items.sort(key=_turn)
    for item in items:
        fixtures = _fixtures(item)
        if ENGINE in fixtures and item.path.name not in ENGINE_FILES:
            raise pytest.UsageError(f"{item.nodeid} needs the engine: add its file to {__name__}.ENGINE_FILES")
        if item.path.name in SLOW_FILES or fixtures & SLOW_FIXTURES:
            item.add_marker("slow")


def _turn(item: pytest.Item) -> tuple[int, bool]:
    name = item.path.name
    if name in ENGINE_FILES:
        return -1, ENGINE not in _fixtures(item)
    return LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST), False


def _fixtures(item: pytest.Item) -> set[str]:
    return set(item.fixturenames) if isinstance(item, pytest.Function) else set()


def group_of(nodeid: str) -> str:
    """What the test shares its process with: its file, or all files with the engine."""
    path = nodeid.partition("::")[0]
    return ENGINE if PurePosixPath(path).name in ENGINE_FILES else path


def scheduler(config: pytest.Config, log: Any) -> "LoadScopeScheduling":
    """pytest-xdist's scheduler of groups of tests, which are those of `group_of` in the order of `arrange`."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return Scheduler(config, log)
