"""An MP4 is fetched in parts where that is certain to give what the whole file gives; in any other case it is not."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from byte_ranges import ByteRange
from clips import H264, ClipStore, numbered_pictures
from config import Settings
from downloading import fetch, num_connections_to
from errors import DownloadTimeout, DownloadTooLarge, SourceHttpError, UrlBlocked, UrlExpired
from media_server import Answer, Exchange, dripping, part, status, whole
from parts_of_files import index_of, make_opening_small
from sources import http, mp4_boxes
from sources.parts import SourceChanged
from sources.sparse import LOOK_BYTES, SparseVideo, fetch_index
from sources.time_limit import TimeLimit

pytestmark = pytest.mark.usefixtures("no_backoff", "small_opening")
ETAG = '"v1"'


@pytest.fixture
def small_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    make_opening_small(monkeypatch)


@pytest.fixture(scope="session")
def film(clips: ClipStore) -> Path:
    """An MP4 whose index is its last box."""
    return clips.encode("large.mp4", f"-vf noise=alls=60:allf=t:all_seed=1 {H264} -qp 12", numbered_pictures(120))


@pytest.fixture(scope="session")
def content(film: Path) -> bytes:
    return film.read_bytes()


async def index(url: str, directory: Path, **settings: Any) -> SparseVideo | None:
    return await fetch_index(url, directory, Settings(download_allow_private="127.0.0.1", **settings))


async def index_or_fail(url: str, directory: Path, **settings: Any) -> SparseVideo:
    sparse = await index(url, directory, **settings)
    assert sparse is not None
    return sparse


def box(kind: bytes, size_bytes: int) -> bytes:
    return struct.pack(">I4s", size_bytes, kind) + bytes(size_bytes - 8)


async def test_the_index_is_fetched_and_little_else(film, content, server, tmp_path):
    sparse = await index_or_fail(server.serve(film), tmp_path)
    fetched = sparse.video.path.read_bytes()
    assert server.sent_bytes < len(content) / 2
    assert server.sent_bytes == sum(one.size_bytes for one in sparse.video.present)
    assert all(fetched[one.start : one.stop] == content[one.start : one.stop] for one in sparse.video.present)
    assert all(any(one.start <= need.start and need.stop <= one.stop for one in sparse.video.present)
               for need in index_of(film))  # fmt: skip
    assert sparse.video.size_bytes == len(fetched) == len(content)
    assert sparse.video.path.stat().st_blocks * 512 < len(content) * 0.6
    assert {request["If-Range"] for request in server.requests[1:]} == {server_etag(film)}


def server_etag(path: Path) -> str:
    return f'"{path.stat().st_mtime_ns:x}-{path.stat().st_size:x}"'


async def test_parts_are_fetched_once_and_stand_where_they_stand_in_the_source(film, content, server, tmp_path):
    sparse = await index_or_fail(server.serve(film), tmp_path)
    before_bytes, middle = server.sent_bytes, len(content) // 2
    wanted = ByteRange(middle, middle + 50_000)
    video = await sparse.fetch([wanted])
    video = await sparse.fetch([wanted, ByteRange(0, 100)])
    assert server.sent_bytes == before_bytes + 50_000
    assert video.path.read_bytes()[wanted.start : wanted.stop] == content[wanted.start : wanted.stop]
    assert any(one.start <= wanted.start and wanted.stop <= one.stop for one in video.present)
    assert video.path.read_bytes()[middle - 50_000 : middle] == bytes(50_000)


@pytest.mark.parametrize("share", [0.5, 1.0])
async def test_if_most_of_a_file_is_needed_all_of_it_is_fetched(share, film, content, server, tmp_path):
    sparse = await index_or_fail(server.serve(film), tmp_path)
    ranges = [ByteRange(int(len(content) * (0.9 - share)), int(len(content) * 0.9))] if share < 1 else ()
    video = await sparse.fetch(ranges)
    assert video.present == ()
    assert video.path.read_bytes() == content
    assert server.sent_bytes == len(content)


async def test_ranges_beyond_the_end_are_cut(film, content, server, tmp_path):
    sparse = await index_or_fail(server.serve(film), tmp_path)
    video = await sparse.fetch([ByteRange(len(content) - 10, 2**60), ByteRange(2**60, 2**61)])
    assert video.present
    assert video.path.stat().st_size == len(content)


REFUSED: dict[str, Callable[[bytes], Answer]] = {
    "no ranges": lambda content: whole(content, ETag=ETAG),
    "no version": lambda content: part(content, ""),
    "a weak version": lambda content: part(content, 'W/"v1"'),
    "no size": lambda content: part(content, Content_Range=f"bytes 0-{LOOK_BYTES - 1}/*"),
    "no range": lambda content: part(content, Content_Range="nonsense"),
    "another beginning": lambda content: part(content, Content_Range=f"bytes 1-{LOOK_BYTES}/{len(content)}"),
    "another end": lambda content: part(content, Content_Range=f"bytes 0-{LOOK_BYTES}/{len(content)}"),
    "impossible size": lambda content: part(content, Content_Range=f"bytes 0-{LOOK_BYTES - 1}/{2**59}"),
    "compressed": lambda content: part(content, Content_Encoding="gzip"),
    "several parts": lambda content: part(content, Content_Range="", Content_Type="multipart/byteranges; boundary=x"),
    "not satisfiable": lambda _: status(416),
    "forbidden": lambda _: status(403),
    "cut by the server": lambda content: part(content[: len(content) - 100]),
    "followed by others": lambda content: part(content + bytes(1000)),
    "two indices": lambda content: part(content + content[content.rindex(b"moov") - 4 :]),
    "fragments": lambda content: part(content + box(b"moof", 100)),
    "no index": lambda content: part(content[: content.rindex(b"moov") - 4]),
    "a box without an end": lambda content: part(content + struct.pack(">I4s", 2**30, b"free")),
    "many boxes": lambda content: part(content + box(b"free", 8) * 40),
    "a box shorter than its header": lambda content: part(content + struct.pack(">I4s", 4, b"free")),
    "Matroska": lambda content: part(b"\x1a\x45\xdf\xa3" + content),
    "text": lambda content: part(b"<html>" * (len(content) // 6)),
    "zeros": lambda content: part(bytes(len(content))),
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_fetched_in_parts_for_certain_is_left_to_a_whole_download(
    answer, content, server, tmp_path
):
    assert await index(server.answer(answer(content)), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert server.num_connections < 40


async def test_a_small_file_is_left_to_a_whole_download(film, server, monkeypatch, tmp_path):
    monkeypatch.setattr(mp4_boxes, "OPENING_BYTES", film.stat().st_size // 2)
    assert await index(server.serve(film), tmp_path) is None
    assert server.sent_bytes <= 3 * LOOK_BYTES


async def test_a_large_index_is_left_to_a_whole_download(film, server, monkeypatch, tmp_path):
    monkeypatch.setattr(mp4_boxes, "MAX_INDEX_BYTES", 1000)
    assert await index(server.serve(film), tmp_path) is None


async def test_a_fragmented_film_is_left_to_a_whole_download(clips, server, tmp_path):
    assert await index(server.serve(clips.clip("h264-fragmented.mp4").path), tmp_path) is None


async def test_a_path_is_left_to_a_whole_download(film, tmp_path):
    assert await index(str(film), tmp_path) is None


async def test_after_a_refusal_the_whole_file_is_downloaded(content, server, tmp_path):
    url = server.answer(part(content), part(content, '"v2"'), part(content, '"v2"'), part(content, '"v2"'),
                        part(content, '"v2"'), whole(content))  # fmt: skip
    assert await index(url, tmp_path) is None
    assert (await fetch(url, tmp_path)).path.read_bytes() == content


CHANGED: dict[str, Callable[[bytes], Answer]] = {
    "another version": lambda content: part(content, '"v2"'),
    "a later version": lambda content: part(content, Last_Modified="Fri, 13 Nov 2026 00:00:01 GMT"),
    "another size": lambda content: part(content + b"x"),
    "all of it": lambda content: whole(content[::-1], ETag='"v2"'),
    "another part": lambda content: part(content, Content_Range=f"bytes 0-9/{len(content)}"),
    "not satisfiable": lambda _: status(416),
}


@pytest.mark.parametrize("answer", CHANGED.values(), ids=CHANGED)
async def test_two_versions_of_a_file_are_never_mixed(answer, content, server, tmp_path):
    first = part(content, Last_Modified="Fri, 13 Nov 2026 00:00:00 GMT")
    sparse = await index_or_fail(server.answer(*[first] * 3, answer(content)), tmp_path)
    present, middle = sparse.video.present, len(content) // 2
    assert len(server.requests) == 3
    with pytest.raises(SourceChanged):
        await sparse.fetch([ByteRange(middle, middle + 1000)])
    assert len(server.requests) == 3 + http.ATTEMPTS
    assert sparse.video.path.read_bytes()[middle:][:1000] == bytes(1000)
    assert sparse.video.present == present


@pytest.mark.parametrize("sent_bytes", [999, 1001])
async def test_a_part_of_another_length_than_was_said_is_not_present(sent_bytes, content, server, tmp_path):
    middle = len(content) // 2

    def of_another_length(exchange: Exchange) -> None:
        headers = {"Content_Range": f"bytes {middle}-{middle + 999}/{len(content)}", "ETag": ETAG}
        exchange.start(206, Transfer_Encoding="chunked", **headers)
        exchange.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (sent_bytes, content[middle : middle + sent_bytes]))

    sparse = await index_or_fail(server.answer(*[part(content)] * 3, of_another_length), tmp_path)
    present = sparse.video.present
    with pytest.raises(SourceChanged):
        await sparse.fetch([ByteRange(middle, middle + 1000)])
    assert sparse.video.present == present


async def test_a_part_that_comes_from_the_right_version_in_another_attempt_is_taken(content, server, tmp_path):
    url = server.answer(*[part(content)] * 3, part(content[::-1], '"v2"'), part(content))
    sparse = await index_or_fail(url, tmp_path)
    wanted = ByteRange(len(content) // 2, len(content) // 2 + 1000)
    video = await sparse.fetch([wanted])
    assert video.path.read_bytes()[wanted.start : wanted.stop] == content[wanted.start : wanted.stop]


async def test_an_interrupted_part_goes_on_where_it_stopped(content, server, tmp_path):
    first, stop = len(content) // 2, len(content) // 2 + 50_000

    def break_off(exchange: Exchange) -> None:
        span = f"bytes {first}-{stop - 1}/{len(content)}"
        exchange.start(206, Content_Range=span, Content_Length=str(stop - first), ETag=ETAG)
        exchange.wfile.write(content[first : first + 20_000])

    sparse = await index_or_fail(server.answer(*[part(content)] * 3, status(503), break_off, part(content)), tmp_path)
    video = await sparse.fetch([ByteRange(first, stop)])
    assert video.path.read_bytes()[first:stop] == content[first:stop]
    assert [request["Range"] for request in server.requests[3:]] == [
        f"bytes={first}-{stop - 1}", f"bytes={first}-{stop - 1}", f"bytes={first + 20_000}-{stop - 1}",
    ]  # fmt: skip


async def test_a_connection_that_fails_after_the_last_byte_of_a_part_costs_no_request(content, server, tmp_path):
    middle = len(content) // 2

    def without_end(exchange: Exchange) -> None:
        headers = {"Content_Range": f"bytes {middle}-{middle + 999}/{len(content)}", "ETag": ETAG}
        exchange.start(206, Transfer_Encoding="chunked", **headers)
        exchange.wfile.write(b"3e8\r\n%b\r\n" % content[middle : middle + 1000])

    sparse = await index_or_fail(server.answer(*[part(content)] * 3, without_end), tmp_path)
    video = await sparse.fetch([ByteRange(middle, middle + 1000)])
    assert video.path.read_bytes()[middle:][:1000] == content[middle:][:1000]
    assert len(server.requests) == 4


async def test_a_source_that_fails_is_asked_again_and_then_reported(content, server, tmp_path):
    assert await index(server.answer(status(503), Exchange.reset, part(content)), tmp_path)
    with pytest.raises(SourceHttpError, match="503"):
        await index(server.answer(status(503)), tmp_path)


@pytest.mark.parametrize("before", range(4))
async def test_every_request_is_checked_for_its_address(before, content, server, tmp_path):
    away = status(302, Location="http://192.168.0.1/film.mp4")
    url = server.answer(*[part(content)] * before, away)

    async def fetch_two_parts() -> None:
        sparse = await index_or_fail(url, tmp_path)
        await sparse.fetch([ByteRange(len(content) // 2, len(content) // 2 + 1000)])

    with pytest.raises(UrlBlocked):
        await fetch_two_parts()
    assert len(server.requests) == before + 1


async def test_a_url_that_expires_between_two_parts_is_reported(content, server, monkeypatch, tmp_path):
    sparse = await index_or_fail(server.answer(part(content)), tmp_path)

    def expired(*_: object) -> None:
        raise UrlExpired("The video_url was signed to expire.")

    monkeypatch.setattr(http, "check_expiry", expired)
    with pytest.raises(UrlExpired):
        await sparse.fetch_rest()


async def test_the_limit_counts_what_is_fetched_and_not_the_size_of_the_file(film, content, server, tmp_path):
    limit = len(content) * 2 // 3
    sparse = await index_or_fail(server.serve(film), tmp_path, max_download_bytes=limit)
    await sparse.fetch([ByteRange(len(content) // 2, len(content) // 2 + 1000)])
    before_bytes = server.sent_bytes
    with pytest.raises(DownloadTooLarge):
        await sparse.fetch_rest()
    assert server.sent_bytes == before_bytes


async def test_a_part_that_never_ends_is_given_up(content, server, tmp_path):
    first = len(content) // 2
    head = (f"HTTP/1.1 206 X\r\nETag: {ETAG}\r\nTransfer-Encoding: chunked\r\n"
            f"Content-Range: bytes {first}-{first + 99_999}/{len(content)}\r\n\r\n")  # fmt: skip
    url = server.answer(*[part(content)] * 3, dripping(head.encode(), b"1\r\nx\r\n"))
    sparse = await index_or_fail(url, tmp_path)
    sparse._limit = TimeLimit(0.3)
    for _ in range(2):  # the time is that of all parts together
        with pytest.raises(DownloadTimeout):
            await sparse.fetch([ByteRange(first, first + 100_000)])


async def test_a_cancelled_fetch_leaves_no_connection_and_a_file_that_can_be_gone_on_with(content, server, tmp_path):
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(exchange: Exchange) -> None:
        loop.call_soon_threadsafe(begun.set)
        exchange.drip(b"")

    url = server.answer(*[part(content)] * 3, hang, part(content))
    sparse = await index_or_fail(url, tmp_path)
    present, before = sparse.video.present, num_connections_to(url)
    fetching = asyncio.create_task(sparse.fetch_rest())
    await begun.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert num_connections_to(url) == before
    assert sparse.video.present == present
    assert (await sparse.fetch_rest()).path.read_bytes() == content
