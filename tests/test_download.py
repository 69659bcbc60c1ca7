"""Bytes arrive whole, or the download ends with one coded error in time; the servers are real ones on loopback."""

import asyncio
import datetime
import errno
import gzip
import ipaddress
import logging
import os
import random
import re
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import download as download_module
from config import Settings
from download import download
from errors import DownloadError, DownloadTimeout, SourceNotFound, UrlInvalid
from media_server import Answer, Exchange, MediaServer
from records import LocalVideo
from sources import http

CONTENT = random.Random(0).randbytes(1_000_000)
ETAG = '"v1"'
CANARY = "X-Amz-Signature=c4n4ry"
DEADLINE_S = 0.3
SLACK_S = 1.0


@pytest.fixture
def server() -> Iterator[MediaServer]:
    with MediaServer() as server:
        yield server


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> list[http.HttpFetch]:
    """The transfers whose thread has not ended."""
    running: list[http.HttpFetch] = []
    run = http.HttpFetch.run

    def watched(fetch: http.HttpFetch) -> int:
        running.append(fetch)
        try:
            return run(fetch)
        finally:
            running.remove(fetch)

    monkeypatch.setattr(http.HttpFetch, "run", watched)
    monkeypatch.setattr(http, "BACKOFF_S", 0)
    return running


async def fetch(url: str, directory: Path, **settings: object) -> LocalVideo:
    return await download(url, directory, Settings(**{"download_allow_private": "127.0.0.1,localhost", **settings}))


async def code_of(url: str, directory: Path, **settings: object) -> str:
    with pytest.raises(DownloadError) as failure:
        await fetch(url, directory, **settings)
    return failure.value.code


def whole(**headers: str) -> Answer:
    return lambda exchange: exchange.reply(200, CONTENT, **headers)


def cut(after_bytes: int, **headers: str) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.start(200, Content_Length=str(len(CONTENT)), **headers)
        exchange.wfile.write(CONTENT[:after_bytes])

    return answer


def rest(**headers: str) -> Answer:
    def answer(exchange: Exchange) -> None:
        first = int(re.fullmatch(r"bytes=(\d+)-", exchange.headers["Range"])[1])
        span = f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"
        exchange.reply(206, CONTENT[first:], **{"Content_Range": span, **headers})

    return answer


def status(code: int, **headers: str) -> Answer:
    return lambda exchange: exchange.reply(code, b"no film", **headers)


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n", **headers: str) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.start(200, Transfer_Encoding="chunked", **headers)
        for part in parts:
            exchange.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        exchange.wfile.write(end)

    return answer


def unannounced(body: bytes, **headers: str) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.start(200, **headers)
        exchange.wfile.write(body)

    return answer


def raw(text: bytes) -> Answer:
    return lambda exchange: exchange.wfile.write(text)


def dripping(head: bytes, part: bytes) -> Answer:
    def answer(exchange: Exchange) -> None:
        exchange.wfile.write(head)
        exchange.drip(part)

    return answer


DRIPS = {
    "silence": dripping(b"", b""),
    "headers": dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "chunks": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "unannounced body": dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    "busy": status(503, Retry_After="20"),
}


@pytest.fixture(params=[*DRIPS, "no handshake", "no connection"])
def endless(request: pytest.FixtureRequest, server: MediaServer) -> Iterator[str]:
    """The URL of a source that never gets done, one for each place at which a transfer can wait."""
    if request.param in DRIPS:
        yield server.answer(DRIPS[request.param])
        return
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        scheme, waiting = ("https", 0) if request.param == "no handshake" else ("http", 2)
        others = [socket.socket() for _ in range(waiting)]
        for other in others:  # they fill the listener's queue: the next connection is never accepted
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/video.mp4"
        for other in others:
            other.close()


@pytest.mark.parametrize(
    "answer",
    [
        whole(),
        whole(Content_Encoding="identity"),
        chunked(CONTENT[:300_000], CONTENT[300_000:]),
        unannounced(CONTENT),
        unannounced(gzip.compress(CONTENT), Content_Encoding="gzip"),
        chunked(gzip.compress(CONTENT), Content_Encoding="gzip"),
    ],
    ids=["length", "identity", "chunked", "until the end", "gzip", "gzip chunked"],
)
async def test_a_whole_transfer_is_byte_identical(answer, server, tmp_path):
    video = await fetch(server.answer(answer), tmp_path)
    assert video.path.read_bytes() == CONTENT
    assert video.size_bytes == len(CONTENT)
    assert len(server.requests) == 1


async def test_a_served_file_is_fetched_into_the_given_directory_for_this_user_alone(server, tmp_path):
    (original := tmp_path / "clip.mp4").write_bytes(CONTENT)
    (directory := tmp_path / "job").mkdir()
    video = await fetch(server.serve(original), directory)
    assert video.path.read_bytes() == CONTENT
    assert list(directory.iterdir()) == [video.path]
    assert stat.S_IMODE(video.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("after_bytes", [0, 100_000, 500_000, 999_999])
async def test_a_cut_transfer_continues_where_it_broke_and_is_byte_identical(after_bytes, server, tmp_path):
    url = server.answer(cut(after_bytes, ETag=ETAG), rest(ETag=ETAG))
    video = await fetch(url, tmp_path)
    assert video.path.read_bytes() == CONTENT
    kept_bytes = after_bytes // http.PART_BYTES * http.PART_BYTES
    assert server.requests[1]["Range"] == f"bytes={kept_bytes}-"
    assert server.requests[1]["If-Range"] == ETAG


async def test_a_transfer_survives_one_fault_less_than_its_attempts(server, tmp_path):
    def reset(exchange: Exchange) -> None:
        cut(500_000, ETag=ETAG)(exchange)
        exchange.reset()

    def cut_rest(exchange: Exchange) -> None:
        first = int(exchange.headers["Range"][6:-1])
        span = f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"
        exchange.start(206, Content_Range=span, Content_Length=str(len(CONTENT) - first))
        exchange.wfile.write(CONTENT[first : first + 200_000])

    url = server.answer(reset, cut_rest, status(503), rest())
    video = await fetch(url, tmp_path)
    assert video.path.read_bytes() == CONTENT
    assert len(server.requests) == http.ATTEMPTS


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"v1"'}, {"ETag": "v1"}, {"ETag": '"v\t1"'}])
async def test_without_a_strong_etag_a_cut_transfer_starts_over(headers, server, tmp_path):
    video = await fetch(server.answer(cut(500_000, **headers), whole()), tmp_path)
    assert video.path.read_bytes() == CONTENT
    assert server.requests[1]["Range"] is None


async def test_an_encoded_transfer_starts_over(server, tmp_path):
    packed = gzip.compress(CONTENT)

    def cut_packed(exchange: Exchange) -> None:
        exchange.start(200, Content_Length=str(len(packed)), Content_Encoding="gzip", ETag=ETAG)
        exchange.wfile.write(packed[:500_000])

    video = await fetch(server.answer(cut_packed, whole()), tmp_path)
    assert video.path.read_bytes() == CONTENT
    assert server.requests[1]["Range"] is None


@pytest.mark.parametrize(
    "second",
    [
        whole(ETag='"v2"'),
        lambda exchange: exchange.reply(206, CONTENT[:9], Content_Range=f"bytes 0-8/{len(CONTENT)}"),
        lambda exchange: exchange.reply(206, CONTENT[458_752:500_000], Content_Range="bytes 458752-499999/1000000"),
        rest(Content_Range="bytes 458752-999999/2000000"),
        rest(Content_Range="bytes 458752-999999/*"),
        rest(Content_Range="nonsense"),
        lambda exchange: exchange.reply(206, CONTENT[458_752:], Content_Type="multipart/byteranges"),
        lambda exchange: exchange.reply(206, CONTENT[458_752:-1], Content_Range="bytes 458752-999999/1000000"),
        lambda exchange: exchange.reply(206, CONTENT[458_752:] + b"x", Content_Range="bytes 458752-999999/1000000"),
        status(416),
    ],
    ids=[
        "changed file",
        "from the start",
        "less than asked for",
        "another size",
        "no size",
        "nonsense",
        "several parts",
        "a byte too few",
        "a byte too many",
        "no such part",
    ],
)
async def test_a_source_that_does_not_continue_properly_is_fetched_anew(second, server, tmp_path):
    url = server.answer(cut(500_000, ETag=ETAG), second, whole())
    video = await fetch(url, tmp_path)
    assert server.requests[1]["Range"] == "bytes=458752-"
    assert video.path.read_bytes() == CONTENT


@pytest.mark.parametrize("code", [204, 206, 304, 400, 401, 403, 404, 410, 416, 501])
async def test_a_refusal_is_not_tried_again(code, server, tmp_path):
    with pytest.raises(DownloadError, match=f"SOURCE_HTTP_ERROR: .* {code}"):
        await fetch(server.answer(status(code)), tmp_path)
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
async def test_a_passing_refusal_is_tried_again(code, server, tmp_path):
    video = await fetch(server.answer(status(code), status(code), whole()), tmp_path)
    assert video.path.read_bytes() == CONTENT


async def test_a_lasting_refusal_is_reported_with_its_status(server, tmp_path):
    with pytest.raises(DownloadError, match="SOURCE_HTTP_ERROR: .* 503"):
        await fetch(server.answer(status(503)), tmp_path)
    assert len(server.requests) == http.ATTEMPTS


@pytest.mark.parametrize(("wish", "wait_s"), [("2", 2), ("9999", 20), ("9" * 5000, 0), ("-1", 0), ("soon", 0), ("", 0)])
async def test_a_source_is_left_alone_as_long_as_it_asks_within_a_bound(wish, wait_s, server, monkeypatch, tmp_path):
    waits_s: list[float] = []
    monkeypatch.setattr(http, "sleep_using_event", lambda _aborted: waits_s.append)
    await fetch(server.answer(status(429, Retry_After=wish), whole()), tmp_path)
    assert waits_s == [wait_s]


async def test_attempts_are_spread_at_random_ever_wider(server, monkeypatch, tmp_path):
    waits_s: list[float] = []
    monkeypatch.setattr(http, "BACKOFF_S", 0.5)
    monkeypatch.setattr(http, "ATTEMPTS", 30)
    monkeypatch.setattr(http, "sleep_using_event", lambda _aborted: waits_s.append)
    await code_of(server.answer(status(503)), tmp_path)
    assert all(0 <= wait_s <= min(0.5 * 2**turn, 8) for turn, wait_s in enumerate(waits_s))
    assert len(set(waits_s)) == len(waits_s)
    assert max(waits_s) > 2


@pytest.mark.parametrize(
    "answer",
    [
        cut(500_000),
        cut(0),
        chunked(CONTENT, end=b""),
        chunked(CONTENT, end=b"5\r\nab"),
        chunked(CONTENT, end=b"nonsense\r\n"),
        raw(b""),
        raw(b"220 mail.example ESMTP\r\n"),
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 6\r\n\r\nfilm"),
        unannounced(b"no gzip", Content_Encoding="gzip"),
        lambda exchange: exchange.reset(),
    ],
    ids=[
        "cut",
        "cut at once",
        "no last chunk",
        "half a chunk",
        "bad chunk",
        "nothing",
        "another protocol",
        "300 headers",
        "long header",
        "two lengths",
        "bad gzip",
        "reset",
    ],
)
async def test_a_transfer_that_always_breaks_fails_after_a_few_attempts(answer, server, running, tmp_path):
    assert await code_of(server.answer(answer), tmp_path) == "DOWNLOAD_FAILED"
    assert len(server.requests) == http.ATTEMPTS
    assert running == []


@pytest.mark.parametrize("length", ["-5", "four", "4.0", "0x4"])
async def test_a_length_that_is_no_number_is_ignored(length, server, tmp_path):
    video = await fetch(server.answer(unannounced(b"film", Content_Length=length)), tmp_path)
    assert video.path.read_bytes() == b"film"


async def test_what_follows_the_announced_length_is_ignored(server, tmp_path):
    url = server.answer(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfilm and more"))
    assert (await fetch(url, tmp_path)).path.read_bytes() == b"film"


async def test_an_endless_source_ends_at_the_deadline_with_its_thread(endless, running, tmp_path):
    started_s = time.monotonic()
    assert await code_of(endless, tmp_path, download_timeout_s=DEADLINE_S) == "DOWNLOAD_TIMEOUT"
    assert time.monotonic() - started_s < DEADLINE_S + SLACK_S
    assert running == []


async def test_cancelling_ends_the_transfer_with_its_thread_and_leaves_nothing_open(endless, running, tmp_path):
    open_files = psutil.Process().num_fds()
    job = asyncio.create_task(fetch(endless, tmp_path))
    await asyncio.wait({job}, timeout=0.1)
    assert running
    started_s = time.monotonic()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert time.monotonic() - started_s < SLACK_S
    assert running == []
    assert psutil.Process().num_fds() <= open_files + 1  # the server's end, until its thread looks


async def test_cancelling_before_the_thread_starts_writes_nothing(server, running, tmp_path):
    job = asyncio.create_task(fetch(server.answer(whole()), tmp_path))
    await asyncio.sleep(0)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert running == []
    assert list(tmp_path.iterdir()) == []


async def test_a_name_server_that_never_answers_does_not_hold_the_job(monkeypatch, caplog, running, tmp_path):
    answered, ended = threading.Event(), threading.Event()
    resolve = socket.getaddrinfo

    def hanging(*arguments: object, **options: object) -> object:
        answered.wait()
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    monkeypatch.setattr(download_module, "ABORT_GRACE_S", 0.05)
    monkeypatch.setattr(running, "remove", ended.set, raising=False) if False else None
    try:
        with pytest.raises(DownloadTimeout):
            await fetch("http://localhost:1/", tmp_path, download_timeout_s=0.1)
    finally:
        answered.set()
    while running:  # noqa: ASYNC110  # the thread has no other sign of life
        await asyncio.sleep(0.001)
    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []
