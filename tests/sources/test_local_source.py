"""A path or file:// URL reaches files below VIDEO_ROOTS, and nothing else."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from config import Settings
from download import download
from errors import DownloadError

FILM = b"film"
NOBODY_UID = 65_534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root directory with a video in it, and a secret file next to it."""
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (root := tmp_path / "videos").mkdir()
    (root / "film.mp4").write_bytes(FILM)
    return root


async def read(source: str | Path, *roots: Path) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        video = await download(str(source), Path(directory), Settings(video_roots=roots))
        content = video.path.read_bytes()
    assert (video.path.name, video.size_bytes) == ("source", len(content))
    return content


async def failure_of(source: str | Path, *roots: Path) -> str:
    with pytest.raises(DownloadError) as failure:
        await read(source, *roots)
    for root in roots:
        assert root.name not in str(failure.value)
    return failure.value.code


@pytest.mark.parametrize(
    "source",
    ["{}/film.mp4", "file://{}/film.mp4", "FILE://{}/film.mp4", "file:{}/film.mp4", "file://localhost{}/film.mp4"],
)
async def test_a_file_below_a_root_is_read_in_place(source, root):
    assert await read(source.format(root), root) == FILM


@pytest.mark.parametrize(
    "name", ["a b.mp4", "50%25.mp4", "what?.mp4", "part#1.mp4", "føлм🎬.mp4", "a+b.mp4", "a:b.mp4"]
)
async def test_a_path_is_taken_literally_and_a_url_is_percent_decoded(name, root):
    (root / name).write_bytes(FILM)
    assert await read(root / name, root) == FILM
    assert await read(f"file://{quote(str(root / name))}", root) == FILM


async def test_there_may_be_several_roots_and_a_root_may_be_a_symlink(root, tmp_path):
    (other := tmp_path / "other").mkdir()
    (link := tmp_path / "link").symlink_to(root)
    assert await read(link / "film.mp4", other, link) == FILM
    assert await read(root / "film.mp4", other, link) == FILM


async def test_a_symlink_that_stays_below_the_root_is_followed(root):
    (root / "link.mp4").symlink_to("film.mp4")
    assert await read(root / "link.mp4", root) == FILM


@pytest.mark.parametrize(
    "source",
    [
        "{}/../secret.mp4",
        "{}/film.mp4/../../secret.mp4",
        "file://{}/../secret.mp4",
        "file://{}/%2e%2e/secret.mp4",
        "file://{}/..%2fsecret.mp4",
        "{}-too/film.mp4",
        "{}/out.mp4",
        "{}/outside/secret.mp4",
        "{}/loop",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        "/",
        "{}/film.mp4\0",
        "file://{}/film.mp4%00",
        "{}/\ud800.mp4",
        "file://elsewhere.example{}/film.mp4",
        "file://{}/film.mp4?x",
        "file://{}/film.mp4#x",
        "file://[{}/film.mp4",
        "file:film.mp4",
        "file:",
        "film.mp4",
        "./film.mp4",
        "~/film.mp4",
        "a:b.mp4",
    ],
)
async def test_nothing_outside_the_roots_is_read(source, root, monkeypatch):
    monkeypatch.chdir(root)
    (root.parent / "videos-too").mkdir()
    (root.parent / "videos-too" / "film.mp4").write_bytes(b"secret")
    (root / "out.mp4").symlink_to("../secret.mp4")
    (root / "outside").symlink_to("..")
    (root / "loop").symlink_to("loop")
    assert await failure_of(source.format(root), root) == "URL_INVALID"


@pytest.mark.parametrize("source", ["{}/film.mp4", "file://{}/film.mp4"])
async def test_without_roots_no_path_is_accepted(source, root):
    assert await failure_of(source.format(root)) == "URL_INVALID"


@pytest.mark.parametrize("name", ["", "missing.mp4", "folder", "pipe", "dangling", "film.mp4/film.mp4", "x" * 300])
async def test_a_source_that_is_not_a_regular_file_is_not_found(name, root):
    (root / "folder").mkdir()
    (root / "dangling").symlink_to("missing.mp4")
    os.mkfifo(root / "pipe")
    assert await failure_of(root / name, root) == "SOURCE_NOT_FOUND"


@contextmanager
def as_unprivileged_user() -> Iterator[None]:
    """Runs the block without root's right to read every file."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY_UID)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("forbid", [lambda root: root / "film.mp4", lambda root: root], ids=["file", "directory"])
async def test_a_file_without_read_permission_is_not_found(forbid: Callable[[Path], Path], root):
    settings = Settings(video_roots=(root,))
    forbidden = forbid(root)
    mode = forbidden.stat().st_mode
    forbidden.chmod(0)
    try:
        with as_unprivileged_user(), pytest.raises(DownloadError, match="SOURCE_NOT_FOUND"):
            await download(str(root / "film.mp4"), root, settings)
    finally:
        forbidden.chmod(mode)


async def test_an_empty_file_is_refused(root):
    (root / "empty.mp4").touch()
    assert await failure_of(root / "empty.mp4", root) == "DOWNLOAD_FAILED"
