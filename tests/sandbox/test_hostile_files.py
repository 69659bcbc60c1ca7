"""A hostile file makes the worker open no other file, and ends in an answer or a coded error."""

import asyncio
import ctypes
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from clips import H264, ffmpeg
from errors import WorkerError
from fakes import ScriptedEngine
from hostile_files import OUTCOMES_OF_LIES, damaged, lies, lists_of_other_files, with_pictures_elsewhere
from jobs import answer, job_input
from media_server import MediaServer

IN_OPEN, IN_NONBLOCK = 0x20, 0o4000
SENTENCE = re.compile(r"([A-Z_]+): [^\n/]+\.")
AT_ONCE = 4


@pytest.fixture(scope="module")
def honest(media_root: Path) -> Path:
    """An MP4 with its index at the end."""
    path = media_root / "honest.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x96:rate=10:duration=4", *H264.split(), path)
    return path


@pytest.fixture(scope="module")
def content(honest: Path) -> bytes:
    """The bytes of the honest file."""
    return honest.read_bytes()


@pytest.fixture
def read(media_root: Path, serve_with: Callable[..., None]) -> Callable[[bytes], Any]:
    """A function that answers a job about a file with the given bytes."""
    serve_with(ScriptedEngine(), media_timeout_s=20.0)
    gate = asyncio.Semaphore(AT_ONCE)

    async def read(content: bytes) -> dict[str, Any]:
        async with gate:
            path = media_root / f"{hash(content) & 0xFFFFFFFF:08x}.mp4"
            path.write_bytes(content)
            try:
                return await answer(job_input(path))
            finally:
                path.unlink()

    return read


@contextmanager
def watched(path: Path) -> Iterator[list[bytes]]:
    """Watch whether a file is opened; the list has an entry afterwards if it was."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(IN_NONBLOCK)
    assert descriptor >= 0
    assert libc.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN) >= 0
    seen: list[bytes] = []
    try:
        yield seen
        seen.append(os.read(descriptor, 65_536))
    except BlockingIOError:
        pass  # it was not opened
    finally:
        os.close(descriptor)


def assert_coded(output: dict[str, Any]) -> str:
    """Check that an output is an answer or an error with a known code, and return its status or code."""
    if output.get("success"):
        return str(output["status"])
    sentence = SENTENCE.fullmatch(output["error"])
    assert sentence, output
    assert sentence[1] in {kind.code for kind in _kinds(WorkerError)} - {"INTERNAL"}
    return sentence[1]


def _kinds(kind: type[WorkerError]) -> Iterator[type[WorkerError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


def test_the_watch_notices_a_file_that_is_opened(tmp_path: Path) -> None:
    bait = tmp_path / "bait"
    bait.touch()
    with watched(bait) as opened:
        bait.read_bytes()
    assert opened
    with watched(bait) as opened:
        bait.stat()
    assert not opened


async def test_a_playlist_opens_none_of_the_files_it_lists(honest: Path, read: Callable[[bytes], Any]) -> None:
    bait = honest.with_name("bait.ts")
    ffmpeg("-i", honest, "-c", "copy", bait)
    with MediaServer() as server, watched(bait) as opened:
        lists = lists_of_other_files(str(bait), server.serve(honest))
        outcomes = await asyncio.gather(*map(read, lists.values()))
        connections = server.num_connections
    assert {assert_coded(outcome) for outcome in outcomes} == {"UNREADABLE_VIDEO"}
    assert (opened, connections) == ([], 0)


async def test_frames_stored_in_another_file_are_not_read(
    honest: Path, content: bytes, read: Callable[[bytes], Any]
) -> None:
    bait = honest.with_name("bait.mp4")
    shutil.copyfile(honest, bait)
    with MediaServer() as server, watched(bait) as opened:
        places = [str(bait), bait.name, f"file://{bait}", server.serve(honest)]
        outcomes = await asyncio.gather(*(read(with_pictures_elsewhere(content, at)) for at in places))
        connections = server.num_connections
    assert {assert_coded(outcome) for outcome in outcomes} <= {"complete", "UNREADABLE_VIDEO", "NO_FRAMES"}
    assert (opened, connections) == ([], 0)


async def test_a_file_with_false_headers_ends_in_an_error_or_in_its_real_content(
    content: bytes, read: Callable[[bytes], Any]
) -> None:
    lying = lies(content)
    outcomes = await asyncio.gather(*map(read, lying.values()))
    assert dict(zip(lying, map(assert_coded, outcomes), strict=True)) == OUTCOMES_OF_LIES


async def test_a_gap_of_hours_between_two_frames_adds_no_work(
    honest: Path, media_root: Path, serve_with: Callable[..., None]
) -> None:
    path = media_root / "gap.mp4"
    late = "setpts='if(eq(N,0),0,20*3600/TB)'"
    ffmpeg("-i", honest, "-vf", late, "-fps_mode", "passthrough", "-frames:v", "2", "-c:v", "libx264", path)
    serve_with(ScriptedEngine())
    output = await answer(job_input(path, chunk_duration=7200.0))
    assert (output["status"], output["video_info"]["num_frames"]) == ("complete", 2)
    assert output["video_info"]["duration"] > 72_000
    assert output["num_chunks"] < 100


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
async def test_random_damage_always_ends_in_an_answer_or_a_known_error(
    container: str, honest: Path, read: Callable[[bytes], Any]
) -> None:
    path = honest.with_suffix(f".{container}")
    if path != honest:
        ffmpeg("-i", honest, "-c", "copy", path)
    outcomes = await asyncio.gather(*map(read, damaged(path.read_bytes(), 16, seed=6)))
    kinds = [assert_coded(outcome) for outcome in outcomes]
    assert {"complete", "partial"} & set(kinds), kinds


@pytest.mark.parametrize("name", ["film.avi", "film.txt", "film", "film.m3u8", "-i"])
async def test_the_name_of_a_file_does_not_matter(name: str, honest: Path, serve_with: Callable[..., None]) -> None:
    (honest.parent / "named").mkdir(exist_ok=True)
    path = honest.parent / "named" / name
    shutil.copyfile(honest, path)
    serve_with(ScriptedEngine())
    assert (await answer(job_input(path)))["status"] == "complete"
