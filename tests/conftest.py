"""The fixtures that many tests share, one real engine among them, and what holds for every test.

What takes long to import is imported by the fixtures that need it: the processes of a run each import this file.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from arrangement import arrange, scheduler
from canary import CanaryWatch
from config import Settings
from ops.logs import set_library_levels
from sandbox import wrappers
from tiny_model.environment import CHECKPOINT, ENGINE_ENVIRONMENT, MAX_FRAME_TOKENS, MIN_FRAME_TOKENS

if TYPE_CHECKING:
    from clips import ClipStore
    from fakes import ScriptedEngine
    from frame_extractor import FrameExtractor
    from gate import Gate
    from media_server import MediaServer
    from pipeline import Services
    from runpod_stand_in import RunPodStandIn
    from vllm_client import VLLMClient

# Before anything imports torch or vLLM; MODEL_NAME and its like do not reach a test.
os.environ |= ENGINE_ENVIRONMENT

# A busy machine draws examples slowly, and no test is about that.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")

WORKER_VARIABLES = frozenset(name.upper() for name in Settings.model_fields)

canary_watch = CanaryWatch()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See arrangement."""
    arrange(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """See arrangement."""
    return scheduler(config, log)


def pytest_sessionstart() -> None:
    """Listen to what the worker's code in this process logs during the whole run."""
    logging.getLogger().addHandler(canary_watch)
    logging.getLogger().setLevel(logging.INFO)


def pytest_sessionfinish() -> None:
    """Stop listening."""
    logging.getLogger().removeHandler(canary_watch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Fail the test after which a secret stands in the log; the last one's includes the ends of session fixtures."""
    yield
    if lines := canary_watch.take():
        pytest.fail("\n".join(["a secret was logged:", *lines]), pytrace=False)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in WORKER_VARIABLES & os.environ.keys():
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def library_levels() -> None:
    """The library loggers have the levels that a worker gives them; importing runpod sets urllib3's to WARNING."""
    set_library_levels()


@pytest.fixture
def untried_layers() -> Iterator[None]:
    """The layers of the sandbox are tried anew, and what is found is forgotten afterwards."""
    wrappers.layers.cache_clear()
    yield
    wrappers.layers.cache_clear()


@pytest.fixture(scope="session")
def media_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory from which the session's worker accepts paths."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def twelve_seconds(media_root: Path) -> Path:
    """A clip of 12 s, 320x180, 25 fps, of which every second differs."""
    from clips import ffmpeg

    path = media_root / "twelve_seconds.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=12", "-pix_fmt", "yuv420p", path)
    return path


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Clips whose pictures carry their numbers."""
    from clips import ClipStore

    return ClipStore(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def extractor() -> FrameExtractor:
    """What reads files, with the worker's own settings but for the time it waits."""
    from frame_extractor import FrameExtractor

    return FrameExtractor(Settings(media_timeout_s=30))


@pytest.fixture
def mostly_in_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first case of each test reads its video in the sandboxed process, the others run its programs in this one."""
    from in_process import read_in_process

    callspec = getattr(request.node, "callspec", None)
    if callspec and any(callspec.indices.values()):
        read_in_process(monkeypatch)


@pytest.fixture(scope="session")
def settings(media_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the session's worker: small frames, so that a CPU answers in seconds."""
    return Settings(
        model_name=str(CHECKPOINT),
        max_video_tokens_per_chunk=2048,
        min_frame_tokens=MIN_FRAME_TOKENS,
        max_frame_tokens=MAX_FRAME_TOKENS,
        max_model_len=16_384,
        video_roots=(media_root,),
        download_allow_private=("127.0.0.1",),
        work_dir=tmp_path_factory.mktemp("jobs"),
    )


@pytest.fixture(scope="session")
async def client(settings: Settings) -> AsyncIterator[VLLMClient]:
    """The real engine, started once."""
    from vllm_client import VLLMClient

    client = VLLMClient(settings)
    await client.initialize_model()
    yield client
    await client.shutdown()


@pytest.fixture
def services(settings: Settings, client: VLLMClient) -> Services:
    """All stages around the session's engine."""
    from pipeline import Services

    created = Services.create(settings)
    return replace(created, client=client)


@pytest.fixture
def server() -> Iterator[MediaServer]:
    """A web server on loopback."""
    from media_server import MediaServer

    with MediaServer() as server:
        yield server


@pytest.fixture
def unanswering_port() -> Iterator[int]:
    """The port of a server that takes connections and never answers: a model that is loaded from it loads for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads are tried again at once."""
    from sources import http

    monkeypatch.setattr(http, "BACKOFF_S", 0)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Where the jobs of `platform` wait in their handler."""
    from gate import Gate

    with Gate() as gate:
        yield gate


@pytest.fixture(scope="module")
def platform() -> Iterator[RunPodStandIn]:
    """A platform with a worker whose jobs a test can hold."""
    from gate import platform_with_worker

    with platform_with_worker() as platform:
        yield platform


@pytest.fixture
def serve(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Services], None]]:
    """Gives the handler in this process its services; no job may leave a file or a process behind."""
    import worker
    from jobs import media_children

    yield lambda services: monkeypatch.setattr(worker, "services", lambda: services)
    assert list(settings.work_dir.iterdir()) == []
    assert media_children() == []


@pytest.fixture
def worker(services: Services, serve: Callable[[Services], None]) -> Services:
    """The handler in this process, with the session's engine."""
    serve(services)
    return services


@pytest.fixture
def serve_with(settings: Settings, serve: Callable[[Services], None]) -> Callable[..., None]:
    """Gives the handler in this process a scripted engine, and some other settings."""
    from jobs import scripted_services

    def serve_scripted(engine: ScriptedEngine, **changes: object) -> None:
        serve(scripted_services(settings.model_copy(update=changes), engine))

    return serve_scripted
