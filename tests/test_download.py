"""A download brings the whole file, or one coded error that reveals nothing about the URL or the machine."""

import asyncio
import gzip
import logging
import random
import shutil
import stat
import zlib

import pytest

from canary import CANARY
from downloading import fetch, num_connections_to
from errors import DownloadError
from media_server import Exchange, chunked, cut, dripping, raw, status, unannounced, whole

FILM = random.Random(0).randbytes(1_000_000)
SIGNED = f"X-Amz-Signature={CANARY}"
DEADLINE_S = 0.3


pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(whole(FILM), id="length"),
        pytest.param(whole(FILM, Content_Encoding="identity"), id="identity"),
        pytest.param(chunked(FILM[:300_000], FILM[300_000:]), id="chunked"),
        pytest.param(unannounced(FILM), id="until the end"),
        pytest.param(unannounced(gzip.compress(FILM), Content_Encoding="gzip"), id="gzip"),
        pytest.param(chunked(gzip.compress(FILM), Content_Encoding="gzip"), id="gzip chunked"),
        pytest.param(unannounced(zlib.compress(FILM), Content_Encoding="deflate"), id="deflate"),
        pytest.param(unannounced(zlib.compress(FILM)[2:-4], Content_Encoding="deflate"), id="deflate without header"),
    ],
)
async def test_a_whole_transfer_is_byte_identical(answer, server, tmp_path):
    video = await fetch(server.answer(answer), tmp_path)
    assert video.path.read_bytes() == FILM
    assert video.size_bytes == len(FILM)
    assert len(server.requests) == 1


async def test_the_file_is_the_only_one_in_its_directory_and_private_to_this_user(server, tmp_path):
    (original := tmp_path / "clip.mp4").write_bytes(FILM)
    (directory := tmp_path / "job").mkdir()
    video = await fetch(server.serve(original), directory)
    assert video.path.read_bytes() == FILM
    assert list(directory.iterdir()) == [video.path]
    assert stat.S_IMODE(video.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("length", ["-5", "four", "4.0", "0x4"])
async def test_an_answer_whose_content_length_is_not_a_number_is_refused(length, server, tmp_path):
    """As RFC 9112 requires in section 6.3: nobody can tell where such an answer ends."""
    with pytest.raises(DownloadError, match="DOWNLOAD_FAILED"):
        await fetch(server.answer(unannounced(b"film", Content_Length=length)), tmp_path)


@pytest.mark.parametrize("film", [b"film", 2 * FILM], ids=["with the head", "in a later part"])
async def test_bytes_after_the_announced_length_are_ignored(film, server, tmp_path):
    url = server.answer(raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b and more" % (len(film), film)))
    assert (await fetch(url, tmp_path)).path.read_bytes() == film


@pytest.mark.parametrize("answer", [whole(b""), chunked(), unannounced(b"")])
async def test_an_empty_source_is_refused(answer, server, tmp_path):
    with pytest.raises(DownloadError, match="DOWNLOAD_FAILED: The source is empty"):
        await fetch(server.answer(answer), tmp_path)


@pytest.mark.parametrize(
    ("answer", "limit_bytes", "written_bytes"),
    [
        pytest.param(whole(FILM), len(FILM) - 1, 0, id="announced"),
        pytest.param(unannounced(FILM), len(FILM) - 1, len(FILM) - 1, id="counted"),
        pytest.param(chunked(FILM), len(FILM) - 1, len(FILM) - 1, id="chunked"),
        pytest.param(whole(gzip.compress(bytes(10**7)), Content_Encoding="gzip"), 10**6, 10**6, id="unpacked"),
    ],
)
async def test_a_source_above_the_size_limit_is_refused_without_a_retry_and_not_written_in_full(
    answer, limit_bytes, written_bytes, server, tmp_path
):
    with pytest.raises(DownloadError, match="DOWNLOAD_TOO_LARGE"):
        await fetch(server.answer(answer), tmp_path, max_download_bytes=limit_bytes)
    assert len(server.requests) == 1
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= written_bytes


@pytest.mark.parametrize("answer", [whole(FILM), unannounced(FILM)])
async def test_a_source_of_exactly_the_size_limit_is_accepted(answer, server, tmp_path):
    assert (await fetch(server.answer(answer), tmp_path, max_download_bytes=len(FILM))).size_bytes == len(FILM)


async def test_a_source_larger_than_the_free_space_is_refused_before_its_body(server, monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=len(FILM) - 1))
    with pytest.raises(DownloadError, match="DISK_FULL"):
        await fetch(server.answer(whole(FILM)), tmp_path)
    assert (tmp_path / "source.part").stat().st_size == 0


@pytest.mark.parametrize(
    "content", [FILM * 2, FILM * 3, b"less than a buffer"], ids=["at a write", "at a later write", "at the end"]
)
async def test_a_disk_that_fills_up_is_reported_without_a_retry(content, server, tmp_path):
    (tmp_path / "source.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="DISK_FULL"):
        await fetch(server.answer(unannounced(content)), tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [whole(FILM), whole(b""), status(404), cut(FILM, 9), status(302, Location="/x")])
async def test_no_outcome_leaves_a_connection_open(answer, server, tmp_path):
    url = server.answer(answer)
    await asyncio.gather(fetch(url, tmp_path), return_exceptions=True)
    assert num_connections_to(url) == 0


def malformed_header(exchange: Exchange) -> None:
    exchange.wfile.write(b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 9\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(status(404), id="404"),
        pytest.param(status(503), id="503"),
        pytest.param(cut(FILM, 9), id="cut"),
        pytest.param(raw(b"nonsense"), id="no HTTP"),
        pytest.param(lambda exchange: exchange.reset(), id="reset"),
        pytest.param(malformed_header, id="malformed header"),
        pytest.param(unannounced(FILM), id="too large"),
        pytest.param(dripping(b"", b""), id="deadline"),
        pytest.param(status(302, Location=f"/again?{SIGNED}"), id="redirect to nothing"),
        pytest.param(status(302, Location=f"file:///film?{SIGNED}"), id="redirect to a file"),
        pytest.param(status(302, Location=f"http://u:{SIGNED}@127.0.0.1/"), id="redirect with a password"),
        pytest.param(status(302, Location=f"http://127.0.0.2/?{SIGNED}"), id="redirect to a private address"),
        pytest.param(status(302, Location=f"http://[{SIGNED}"), id="redirect to nonsense"),
        pytest.param(whole(b"film"), id="success"),
    ],
)
async def test_neither_error_nor_log_reveals_the_url_or_a_path(answer, server, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    url = f"{server.answer(answer, name='secret.mp4')}?{SIGNED}#{SIGNED}"
    results = await asyncio.gather(
        fetch(url, tmp_path, download_timeout_s=DEADLINE_S, max_download_bytes=1000), return_exceptions=True
    )
    messages = [str(result) for result in results if isinstance(result, Exception)] + [
        caplog.handler.format(record) for record in caplog.records
    ]
    for secret in (CANARY, "secret.mp4", "http://", str(tmp_path)):
        assert not [message for message in messages if secret in message.replace("start with http:// or", "")]


async def test_a_body_of_very_many_very_small_parts_is_whole(server, tmp_path):
    parts = [FILM[number : number + 1] for number in range(5000)]
    assert (await fetch(server.answer(chunked(*parts)), tmp_path)).path.read_bytes() == FILM[:5000]


async def test_a_body_larger_than_what_is_collected_in_memory_is_whole(server, tmp_path):
    film = FILM * 9
    assert (await fetch(server.answer(whole(film)), tmp_path)).path.read_bytes() == film
