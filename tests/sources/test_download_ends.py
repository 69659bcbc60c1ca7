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

import download as download_module
from config import Settings
from download import download
from errors import DownloadTimeout
from media_server import Exchange, MediaServer, dripping, status, whole
from records import LocalVideo
from sources import http

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


class Transfers:
    """Events that are set when the transfer's thread starts and when it ends."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.ended = threading.Event()


@pytest.fixture(autouse=True)
def transfers(monkeypatch: pytest.MonkeyPatch) -> Transfers:
    transfers = Transfers()
    run = http.HttpFetch.run

    def watched(fetch: http.HttpFetch) -> int:
        transfers.started.set()
        try:
            return run(fetch)
        finally:
            transfers.ended.set()

    monkeypatch.setattr(http.HttpFetch, "run", watched)
    monkeypatch.setattr(http, "BACKOFF_S", 0)
    return transfers


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


async def fetch(url: str, directory: Path, **settings: Any) -> LocalVideo:
    return await download(url, directory, Settings(download_allow_private="127.0.0.1,localhost", **settings))


def num_connections_to(url: str) -> int:
    port = int(url.split(":")[2].partition("/")[0])
    sockets = psutil.Process().net_connections("tcp")
    return sum(1 for opened in sockets if opened.fd >= 0 and opened.raddr and opened.raddr.port == port)


async def test_an_endless_download_and_its_thread_end_at_the_timeout(endless, transfers, tmp_path):
    before = num_connections_to(endless)
    started_s = time.monotonic()
    with pytest.raises(DownloadTimeout):
        await fetch(endless, tmp_path, download_timeout_s=DEADLINE_S)
    assert transfers.ended.is_set()
    assert time.monotonic() - started_s < DEADLINE_S + SLACK_S
    assert num_connections_to(endless) == before


@pytest.mark.parametrize("kind", ["silence", "body", "busy"])
async def test_a_source_that_is_too_slow_is_given_up_long_before_the_timeout(
    kind, server, transfers, monkeypatch, tmp_path
):
    monkeypatch.setattr(download_module, "SPEED_WINDOW_S", DEADLINE_S)
    with pytest.raises(DownloadTimeout, match="less than 1 MB in"):
        await fetch(server.answer(ENDLESS[kind]), tmp_path)
    assert transfers.ended.is_set()


async def test_a_source_that_brings_enough_in_each_window_is_not_given_up(server, monkeypatch, tmp_path):
    monkeypatch.setattr(download_module, "SPEED_WINDOW_S", 0.4)
    monkeypatch.setattr(download_module, "MIN_BYTES_PER_WINDOW", 1)

    def send_in_parts(exchange: Exchange) -> None:
        exchange.start(200, Content_Length=str(len(FILM)))
        for first in range(0, len(FILM), 50_000):
            exchange.wfile.write(FILM[first : first + 50_000])
            exchange.server.media.closing.wait(0.05)

    video = await fetch(server.answer(send_in_parts), tmp_path)
    assert video.path.read_bytes() == FILM


async def test_cancelling_ends_the_transfer_and_its_thread_and_leaves_nothing_open(endless, transfers, tmp_path):
    before = num_connections_to(endless)
    job = asyncio.create_task(fetch(endless, tmp_path))
    assert await asyncio.to_thread(transfers.started.wait, SLACK_S)
    await asyncio.wait({job}, timeout=0.1)
    assert not transfers.ended.is_set()
    started_s = time.monotonic()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert transfers.ended.is_set()
    assert time.monotonic() - started_s < SLACK_S
    assert num_connections_to(endless) == before
    assert [file.path for file in psutil.Process().open_files() if Path(file.path).is_relative_to(tmp_path)] == []


async def test_cancelling_a_download_before_it_has_begun_leaves_nothing_running(server, transfers, tmp_path):
    url = server.answer(dripping(b"", b""))
    job = asyncio.create_task(fetch(url, tmp_path))
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert transfers.ended.is_set()
    assert num_connections_to(url) == 0


@pytest.mark.parametrize("outcome", ["answers", "fails"])
async def test_a_name_server_that_does_not_answer_does_not_block_the_job(
    outcome, server, transfers, monkeypatch, tmp_path
):
    proceed = threading.Event()
    resolve, lookups = socket.getaddrinfo, []

    def slow(*question: Any, **options: Any) -> object:
        lookups.append(question)
        proceed.wait()
        if outcome == "fails":
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        return resolve(*question, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    monkeypatch.setattr(download_module, "ABORT_GRACE_S", 0.05)
    try:
        with pytest.raises(DownloadTimeout):
            await fetch(server.answer(whole(FILM)), tmp_path, download_timeout_s=0.1)
    finally:
        proceed.set()
    assert await asyncio.to_thread(transfers.ended.wait, SLACK_S)
    assert len(lookups) == 1
    assert server.num_connections == 0
    assert list(tmp_path.iterdir()) == []
