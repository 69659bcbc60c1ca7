"""One real engine for the whole session, on the test model and the CPU."""

import logging
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import worker as worker_module
from canary import CanaryWatch
from clips import ClipStore
from config import Settings
from fakes import ScriptedEngine
from frame_extractor import FrameExtractor
from gate import Gate, platform_with_worker
from jobs import media_children, scripted_services
from media_server import MediaServer
from ops.logs import set_library_levels
from pipeline import Services
from runpod_stand_in import RunPodStandIn
from sources import http
from tiny_model.environment import CHECKPOINT, ENGINE_ENVIRONMENT, MAX_FRAME_TOKENS, MIN_FRAME_TOKENS
from vllm_client import VLLMClient

# Before anything imports torch or vLLM; MODEL_NAME and its like do not reach a test.
os.environ |= ENGINE_ENVIRONMENT

WORKER_VARIABLES = frozenset(name.upper() for name in Settings.model_fields)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs the engine first.

    The engine forks its process from this one, which must not have run torch before: the child would
    wait for threads that were not copied.
    """
    items.sort(key=lambda item: "client" not in getattr(item, "fixturenames", ()))


canary_watch = CanaryWatch()


def pytest_sessionstart() -> None:
    """Listen to what the worker's code in this process logs during the whole run."""
    logging.getLogger().addHandler(canary_watch)
    logging.getLogger().setLevel(logging.INFO)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a secret was logged."""
    logging.getLogger().removeHandler(canary_watch)
    if canary_watch.lines:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show those lines."""
    for line in canary_watch.lines:
        terminalreporter.write_line(f"a secret was logged: {line}", red=True)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in WORKER_VARIABLES & os.environ.keys():
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def library_levels() -> None:
    """The library loggers have the levels that a worker gives them; importing runpod sets urllib3's to WARNING."""
    set_library_levels()


@pytest.fixture(scope="session")
def media_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory from which the session's worker accepts paths."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def twelve_seconds(media_root: Path) -> Path:
    """A clip of 12 s, 320x180, 25 fps, of which every second differs."""
    path = media_root / "twelve_seconds.mp4"
    source = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=12")
    subprocess.run(["ffmpeg", "-v", "error", *source, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Clips whose pictures carry their numbers."""
    return ClipStore(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def extractor() -> FrameExtractor:
    """What reads files, with the worker's own settings but for the time it waits."""
    return FrameExtractor(Settings(media_timeout_s=30))


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
    client = VLLMClient(settings)
    await client.initialize_model()
    yield client
    await client.shutdown()


@pytest.fixture
def services(settings: Settings, client: VLLMClient) -> Services:
    """All stages around the session's engine."""
    created = Services.create(settings)
    return Services(settings, created.extractor, created.processor, client)


@pytest.fixture
def server() -> Iterator[MediaServer]:
    """A web server on loopback."""
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
    monkeypatch.setattr(http, "BACKOFF_S", 0)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Where the jobs of `platform` wait in their handler."""
    with Gate() as gate:
        yield gate


@pytest.fixture(scope="module")
def platform() -> Iterator[RunPodStandIn]:
    """A platform with a worker whose jobs a test can hold."""
    with platform_with_worker() as platform:
        yield platform


@pytest.fixture
def serve(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Services], None]]:
    """Gives the handler in this process its services; no job may leave a file or a process behind."""
    yield lambda services: monkeypatch.setattr(worker_module, "services", lambda: services)
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

    def serve_scripted(engine: ScriptedEngine, **changes: object) -> None:
        serve(scripted_services(settings.model_copy(update=changes), engine))

    return serve_scripted
