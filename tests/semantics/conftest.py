"""The video that most jobs here are about, and the worker that answers them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import Services
from semantics.worker import Worker
from tiny_model import world
from tiny_model.footage import Camera, film
from tiny_model.world import Timeline

SEED = 6
"""Of a clip that the test model reads without a fault."""
# Between the instants 2.0, 2.5, 3.0 …: some begin with the first frame of a pair, some with the second.
STARTS_S = (0.0, 2.3, 5.8, 9.3, 11.2, 14.8, 18.3, 21.7)


@pytest.fixture(scope="package")
def camera() -> Camera:
    return Camera(360, 640, 25)


@pytest.fixture(scope="package")
def timeline() -> Timeline:
    return world.random_timeline(np.random.default_rng(SEED), STARTS_S, 24.0, 640 / 360)


@pytest.fixture(scope="package")
def video(timeline: Timeline, camera: Camera, media_root: Path) -> Path:
    return film(timeline, camera, media_root / "scenes.mp4")


@pytest.fixture
def watched(services: Services, serve: Callable[[Services], None], monkeypatch: pytest.MonkeyPatch) -> Worker:
    worker = Worker(services)
    worker.watch_frames(monkeypatch)
    serve(services)
    return worker
