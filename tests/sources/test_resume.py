"""A transfer resumes after a network fault, and never mixes two versions of a file."""

import asyncio
import gzip
import random
from pathlib import Path

import pytest

from config import Settings
from download import download
from errors import DownloadError
from media_server import Exchange, chunked, cut, raw, rest, status, unannounced, whole
from sources import http

FILM = random.Random(0).randbytes(1_000_000)
ETAG = '"v1"'
CUT_BYTES = 500_000


pytestmark = pytest.mark.usefixtures("no_backoff")


async def fetch(url: str, directory: Path) -> bytes:
    video = await download(url, directory, Settings(download_allow_private="127.0.0.1"))
    content = video.path.read_bytes()
    assert len(content) == video.size_bytes
    return content


def partial(content: bytes, span: str, **headers: str) -> object:
    return lambda exchange: exchange.reply(206, content, Content_Range=f"bytes {span}", **{"ETag": ETAG, **headers})


def recorded_waits_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are skipped."""
    waits_s: list[float] = []

    async def record(wait_s: float) -> None:
        waits_s.append(wait_s)

    monkeypatch.setattr(http, "sleep", record)
    return waits_s


@pytest.mark.parametrize("after_bytes", [0, 100_000, CUT_BYTES, 900_000, 999_999])
async def test_an_interrupted_transfer_resumes_where_it_stopped(after_bytes, server, tmp_path):
    assert await fetch(server.answer(cut(FILM, after_bytes, ETag=ETAG), rest(FILM)), tmp_path) == FILM
    assert server.requests[1]["Range"] == f"bytes={after_bytes}-"
    assert server.requests[1]["If-Range"] == ETAG


async def test_a_transfer_survives_a_fault_in_every_attempt_but_the_last(server, tmp_path):
    def reset(exchange: Exchange) -> None:
        cut(FILM, CUT_BYTES, ETag=ETAG)(exchange)
        exchange.reset()

    def cut_rest(exchange: Exchange) -> None:
        first = exchange.range_start()
        assert first is not None
        length = str(len(FILM) - first)
        exchange.start(206, Content_Range=f"bytes {first}-999999/1000000", Content_Length=length, ETag=ETAG)
        exchange.wfile.write(FILM[first : first + 200_000])

    assert await fetch(server.answer(reset, cut_rest, status(503), rest(FILM)), tmp_path) == FILM
    offsets = [int(request["Range"].strip("bytes=-")) for request in server.requests[1:]]
    assert offsets == sorted(offsets)
    assert offsets[-1] >= offsets[0] + 200_000


async def test_a_transfer_from_a_file_server_resumes(server, monkeypatch, tmp_path):
    (original := tmp_path / "clip.mp4").write_bytes(FILM)
    url = server.serve(original)
    send, cuts = Exchange.start, [True]

    def start(exchange: Exchange, code: int, **headers: str) -> None:
        send(exchange, code, **headers)
        if cuts and cuts.pop():
            exchange.wfile.write(FILM[:CUT_BYTES])
            raise ConnectionAbortedError

    monkeypatch.setattr(Exchange, "start", start)
    assert await fetch(url, tmp_path) == FILM
    assert [request["Range"] for request in server.requests] == [None, f"bytes={CUT_BYTES}-"]


@pytest.mark.parametrize("headers", [{}, {"ETag": 'W/"v1"'}, {"ETag": "v1"}, {"ETag": '"v\t1"'}])
async def test_without_a_strong_etag_an_interrupted_transfer_starts_over(headers, server, tmp_path):
    assert await fetch(server.answer(cut(FILM, CUT_BYTES, **headers), whole(FILM)), tmp_path) == FILM
    assert server.requests[1]["Range"] is None


async def test_an_interrupted_transfer_with_a_content_encoding_starts_over(server, tmp_path):
    packed = cut(gzip.compress(FILM), CUT_BYTES, ETag=ETAG, Content_Encoding="gzip")
    assert await fetch(server.answer(packed, whole(FILM)), tmp_path) == FILM
    assert server.requests[1]["Range"] is None


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(whole(FILM, ETag='"v2"'), id="the file has changed"),
        pytest.param(whole(FILM), id="ranges are ignored"),
        pytest.param(partial(FILM[:9], "0-8/1000000"), id="the start again"),
        pytest.param(partial(FILM[CUT_BYTES:CUT_BYTES], f"{CUT_BYTES}-{CUT_BYTES - 1}/1000000"), id="less"),
        pytest.param(partial(FILM[:-CUT_BYTES], f"{CUT_BYTES}-999999/2000000"), id="another size"),
        pytest.param(partial(FILM[:-CUT_BYTES], f"{CUT_BYTES}-999999/*"), id="no size"),
        pytest.param(rest(FILM, Content_Range="nonsense"), id="no range"),
        pytest.param(partial(FILM[CUT_BYTES:-1], f"{CUT_BYTES}-999999/1000000"), id="a byte too few"),
        pytest.param(partial(FILM[CUT_BYTES:] + b"x", f"{CUT_BYTES}-999999/1000000"), id="a byte too many"),
        pytest.param(rest(FILM, ETag='"v2"'), id="a part of another version"),
        pytest.param(rest(FILM, ETag='W/"v1"'), id="perhaps a part of another version"),
        pytest.param(rest(FILM, Last_Modified="Fri, 13 Nov 2026 00:00:01 GMT"), id="a part of a later version"),
        pytest.param(partial(FILM[CUT_BYTES:], f"{CUT_BYTES}-999999/1000000", ETag=""), id="no version"),
        pytest.param(rest(FILM, Content_Encoding="gzip"), id="compressed"),
        pytest.param(status(416), id="no such part"),
    ],
)
async def test_a_source_that_answers_a_range_request_wrongly_is_fetched_from_the_start(second, server, tmp_path):
    first = cut(FILM, CUT_BYTES, ETag=ETAG, Last_Modified="Fri, 13 Nov 2026 00:00:00 GMT")
    assert await fetch(server.answer(first, second, whole(FILM)), tmp_path) == FILM
    assert server.requests[1]["Range"] == f"bytes={CUT_BYTES}-"


@pytest.mark.parametrize("etag", ['"v2"', None], ids=["told", "not told"])
async def test_a_file_that_is_replaced_meanwhile_is_never_mixed_with_the_new_one(etag, server, tmp_path):
    """Several object stores ignore If-Range and send the rest of the new file, whose size may be the same."""
    new_film = FILM[::-1]

    def rest_of_the_new(exchange: Exchange) -> None:
        first = exchange.range_start()
        if first is None:
            exchange.reply(200, new_film, ETag='"v2"')
        else:
            span = f"bytes {first}-{len(FILM) - 1}/{len(FILM)}"
            told = {"ETag": etag} if etag else {}
            exchange.reply(206, new_film[first:], Content_Range=span, **told)

    assert await fetch(server.answer(cut(FILM, CUT_BYTES, ETag=ETAG), rest_of_the_new), tmp_path) == new_film


async def test_a_part_whose_length_contradicts_its_range_is_not_read(server, tmp_path):
    def lie(exchange: Exchange) -> None:
        span = f"bytes {CUT_BYTES}-999999/1000000"
        exchange.start(206, Content_Range=span, Content_Length=str(10**12), ETag=ETAG)
        exchange.drip(b"x")

    async with asyncio.timeout(5):
        assert await fetch(server.answer(cut(FILM, CUT_BYTES, ETag=ETAG), lie, whole(FILM)), tmp_path) == FILM


async def test_a_compressed_body_that_is_cut_short_is_noticed_although_its_length_is_not_announced(server, tmp_path):
    packed = gzip.compress(FILM)
    cut_short, complete = (unannounced(body, Content_Encoding="gzip") for body in (packed[:-100], packed))
    assert await fetch(server.answer(cut_short, complete), tmp_path) == FILM


async def test_a_partial_answer_to_a_request_without_a_range_is_an_error(server, tmp_path):
    url = server.answer(cut(b"old" * 300_000, CUT_BYTES), partial(FILM, "0-999999/1000000"))
    with pytest.raises(DownloadError, match=r"SOURCE_HTTP_ERROR: .* 206"):
        await fetch(url, tmp_path)


@pytest.mark.parametrize("code", [204, 206, 304, 400, 401, 403, 404, 410, 416, 501, 505])
async def test_a_permanent_http_error_is_not_retried(code, server, tmp_path):
    with pytest.raises(DownloadError, match=f"SOURCE_HTTP_ERROR: .* {code}"):
        await fetch(server.answer(status(code)), tmp_path)
    assert len(server.requests) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 520, 524])
async def test_a_transient_http_error_is_retried(code, server, tmp_path):
    assert await fetch(server.answer(status(code), status(code), whole(FILM)), tmp_path) == FILM


async def test_a_transient_http_error_that_persists_is_reported_with_its_status(server, tmp_path):
    with pytest.raises(DownloadError, match=r"SOURCE_HTTP_ERROR: .* 503"):
        await fetch(server.answer(status(503)), tmp_path)
    assert len(server.requests) == http.ATTEMPTS


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [("2", 2), ("9999", 20), ("9" * 5000, 0), ("-1", 0), ("Fri, 13 Nov 2026 00:00:00 GMT", 0)],
)
async def test_retry_after_is_respected_up_to_a_limit(retry_after, wait_s, server, monkeypatch, tmp_path):
    waits_s = recorded_waits_s(monkeypatch)
    await fetch(server.answer(status(429, Retry_After=retry_after), whole(FILM)), tmp_path)
    assert waits_s == [wait_s]


async def test_attempts_back_off_exponentially_with_jitter(server, monkeypatch, tmp_path):
    waits_s = recorded_waits_s(monkeypatch)
    monkeypatch.setattr(http, "BACKOFF_S", 0.5)
    monkeypatch.setattr(http, "ATTEMPTS", 30)
    with pytest.raises(DownloadError):
        await fetch(server.answer(status(503)), tmp_path)
    assert all(0 <= wait_s <= min(0.5 * 2**turn, 8) for turn, wait_s in enumerate(waits_s))
    assert len(set(waits_s)) == len(waits_s)
    assert max(waits_s) > 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(cut(FILM, CUT_BYTES), id="cut"),
        pytest.param(cut(FILM, 0), id="cut at once"),
        pytest.param(chunked(FILM, end=b""), id="no last chunk"),
        pytest.param(chunked(FILM, end=b"5\r\nab"), id="half a chunk"),
        pytest.param(chunked(FILM, end=b"nonsense\r\n"), id="no chunk"),
        pytest.param(raw(b""), id="nothing"),
        pytest.param(raw(b"220 mail.example ESMTP\r\n"), id="another protocol"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n"), id="300 headers"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"), id="long header"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 6\r\n\r\nfilm"), id="two lengths"),
        pytest.param(unannounced(b"no gzip", Content_Encoding="gzip"), id="bad gzip"),
        pytest.param(lambda exchange: exchange.reset(), id="reset"),
    ],
)
async def test_a_transfer_that_always_breaks_fails_after_the_last_attempt(answer, server, tmp_path):
    with pytest.raises(DownloadError, match="DOWNLOAD_FAILED"):
        await fetch(server.answer(answer), tmp_path)
    assert len(server.requests) == http.ATTEMPTS
