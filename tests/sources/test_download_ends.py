"""A download ends in time, whatever its source does, and leaves no thread, connection or open file."""

import asyncio
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from downloading import fetch, num_connections_to
from errors import DownloadTimeout
from media_server import Exchange, MediaServer, dripping, status, whole
from sources import time_limit

FILM = random.Random(0).randbytes(1_000_000)
DEADLINE_S = 0.3
SLACK_S = 1.0
ENDLESS = {
    "silence": dripping(b"", b""),
    "headers": dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "chunks": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "unannounced body": dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "busy": status(503, Retry_After="20"),
}


pytestmark = pytest.mark.usefixtures("no_backoff")


def num_running() -> int:
    """Tasks of the loop but the test's own, and threads that work for a download."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("download")]
    for thread in threads:
        thread.join(SLACK_S)  # one that has been told to end needs a moment
    return len(asyncio.all_tasks()) - 1 + sum(thread.is_alive() for thread in threads)


@pytest.fixture(params=[*ENDLESS, "no handshake", "no connection"])
def endless(request: pytest.FixtureRequest, server: MediaServer) -> Iterator[str]:
    """URLs of sources that never finish, one for each place where a transfer can block."""
    if request.param in ENDLESS:
        yield server.answer(ENDLESS[request.param])
        return
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        scheme, num_queued = ("https", 0) if request.param == "no handshake" else ("http", 2)
        queued = [socket.socket() for _ in range(num_queued)]
        for other in queued:  # they fill the listener's queue, so the next connection is never accepted
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/video.mp4"
        for other in queued:
            other.close()


async def test_an_endless_download_ends_at_the_timeout_and_leaves_nothing_running(endless, tmp_path):
    before, running = num_connections_to(endless), num_running()
    started_s = time.monotonic()
    with pytest.raises(DownloadTimeout):
        await fetch(endless, tmp_path, download_timeout_s=DEADLINE_S)
    assert time.monotonic() - started_s < DEADLINE_S + SLACK_S
    assert num_running() == running
    assert num_connections_to(endless) == before


@pytest.mark.parametrize("kind", ["silence", "body", "busy"])
async def test_a_source_that_is_too_slow_is_given_up_long_before_the_timeout(kind, server, monkeypatch, tmp_path):
    running = num_running()
    monkeypatch.setattr(time_limit, "SPEED_WINDOW_S", DEADLINE_S)
    with pytest.raises(DownloadTimeout, match="less than 1 MB in"):
        await fetch(server.answer(ENDLESS[kind]), tmp_path)
    assert num_running() == running


async def test_a_source_that_brings_enough_in_each_window_is_not_given_up(server, monkeypatch, tmp_path):
    monkeypatch.setattr(time_limit, "SPEED_WINDOW_S", 0.4)
    monkeypatch.setattr(time_limit, "MIN_BYTES_PER_WINDOW", 1)

    def send_in_parts(exchange: Exchange) -> None:
        exchange.start(200, Content_Length=str(len(FILM)))
        for first in range(0, len(FILM), 50_000):
            exchange.wfile.write(FILM[first : first + 50_000])
            exchange.server.media.closing.wait(0.05)

    video = await fetch(server.answer(send_in_parts), tmp_path)
    assert video.path.read_bytes() == FILM


async def test_cancelling_ends_the_transfer_at_once_and_leaves_nothing_running_or_open(endless, tmp_path):
    before, running = num_connections_to(endless), num_running()
    job = asyncio.create_task(fetch(endless, tmp_path))
    assert await asyncio.wait({job}, timeout=0.1) == (set(), {job})
    started_s = time.monotonic()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert time.monotonic() - started_s < SLACK_S / 2
    assert num_running() == running
    assert num_connections_to(endless) == before
    assert [file.path for file in psutil.Process().open_files() if Path(file.path).is_relative_to(tmp_path)] == []


async def test_cancelling_a_download_before_it_has_begun_leaves_nothing_running(server, tmp_path):
    running = num_running()
    url = server.answer(dripping(b"", b""))
    job = asyncio.create_task(fetch(url, tmp_path))
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert num_running() == running
    assert num_connections_to(url) == 0


@pytest.fixture
def silent_name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Lookups of names that end in .silent hang until the end of the test; the names that were looked up."""
    end, resolve, lookups = threading.Event(), socket.getaddrinfo, []

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> object:
        lookups.append(host)
        if host.endswith(".silent"):
            end.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield lookups
    end.set()


async def test_a_name_server_that_does_not_answer_does_not_block_the_job(silent_name_server, tmp_path):
    started_s = time.monotonic()
    with pytest.raises(DownloadTimeout):
        await fetch("http://media.silent/", tmp_path, download_timeout_s=0.1)
    assert time.monotonic() - started_s < SLACK_S
    assert silent_name_server == ["media.silent"]
    assert list(tmp_path.iterdir()) == []


async def test_lookups_that_hang_hold_up_no_other_download_and_no_thread_of_asyncio(
    silent_name_server, server, tmp_path
):
    directories = [tmp_path / str(number) for number in range(40)]  # asyncio's own pool has at most 32 threads
    for directory in directories:
        directory.mkdir()
    hanging = [asyncio.create_task(fetch(f"http://{each.name}.silent/", each)) for each in directories]
    while len(silent_name_server) < len(hanging):
        await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        assert (await fetch(server.answer(whole(FILM)), tmp_path)).size_bytes == len(FILM)
        (roots := tmp_path / "videos").mkdir()
        (roots / "film.mp4").write_bytes(FILM)
        (target := tmp_path / "local").mkdir()
        await fetch(str(roots / "film.mp4"), target, video_roots=[roots])
        await asyncio.to_thread(lambda: None)
    for job in hanging:
        job.cancel()
    assert {type(outcome) for outcome in await asyncio.gather(*hanging, return_exceptions=True)} == {
        asyncio.CancelledError
    }


async def test_sources_that_send_nothing_hold_no_thread(server, tmp_path):
    url = server.answer(dripping(b"", b""))
    jobs = [asyncio.create_task(fetch(url, tmp_path)) for _ in range(40)]
    while len(server.requests) < len(jobs):
        await asyncio.sleep(0.01)
    num_running()  # waits for the threads that looked up the name
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("download")] == []
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


async def test_a_slow_disk_does_not_block_the_event_loop(server, monkeypatch, tmp_path):
    """The disk answers only when the event loop has gone on."""
    opening, loop_went_on, open_file = asyncio.Event(), threading.Event(), Path.open
    loop = asyncio.get_running_loop()

    def slow(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.parent == tmp_path:
            loop.call_soon_threadsafe(opening.set)
            assert loop_went_on.wait(SLACK_S)
        return open_file(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", slow)
    job = asyncio.create_task(fetch(server.answer(whole(FILM)), tmp_path))
    await opening.wait()
    loop_went_on.set()
    assert (await job).size_bytes == len(FILM)
