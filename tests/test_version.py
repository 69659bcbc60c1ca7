"""One version, wherever it is written or sent."""

import re
from pathlib import Path

from config import Settings
from download import download
from media_server import whole
from version import __version__

ROOT = Path(__file__).parents[1]


def test_the_version_is_one_that_semantic_versioning_allows() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", __version__)


def test_the_image_is_labelled_with_the_version_of_its_code() -> None:
    labels = re.findall(r'(?m)^LABEL org\.opencontainers\.image\.version="(.*)"$', (ROOT / "Dockerfile").read_text())
    assert labels == [__version__]


def test_the_newest_release_in_the_changelog_is_this_version() -> None:
    sections = re.findall(r"(?m)^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text())
    assert sections[:2] == ["Unreleased", __version__]


async def test_a_download_tells_the_source_which_version_asks(server, tmp_path) -> None:
    await download(server.answer(whole(b"film")), tmp_path, Settings(download_allow_private="127.0.0.1"))
    assert server.requests[0]["User-Agent"] == f"qwen3-vl-runpod/{__version__}"
