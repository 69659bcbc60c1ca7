"""Finds a source that is a file on the worker's own disk, for example on a mounted network volume."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from errors import DownloadError, SourceNotFound, UrlInvalid
from records import LocalVideo


def is_local(source: str) -> bool:
    """Whether a source is a path or file:// URL."""
    return source.startswith("/") or source[:5].lower() == "file:"


def local_video(source: str, roots: Sequence[Path]) -> LocalVideo:
    """Find the file that an absolute path or file:// URL names; after resolving links it must be below a root.

    Args:
        source: a path, which is taken literally, or a percent-encoded URL.
        roots: resolved directories.

    Raises:
        UrlInvalid: the path is not below a root, or the source is not a path.
        SourceNotFound: there is no regular file that the worker may read.
        DownloadError: the file is empty.
    """
    if not roots:
        raise UrlInvalid(
            "The video_url must start with http:// or https://: paths and file:// URLs are accepted only below a "
            "directory of the worker's setting VIDEO_ROOTS, which is empty."
        )
    try:
        path = _named_path(source).resolve()
    except (OSError, RuntimeError, ValueError) as exc:  # a symlink loop, a NUL character, an unpaired surrogate
        raise UrlInvalid("The video_url is not a usable path.") from exc
    if not any(path.is_relative_to(root) for root in roots):
        raise UrlInvalid("The video_url's path is outside the directories in VIDEO_ROOTS.")
    try:
        size_bytes = _readable_size_bytes(path)
    except OSError as exc:
        raise SourceNotFound("No readable file stands at the video_url's path.") from exc
    if not size_bytes:
        raise DownloadError("The source is empty.")
    return LocalVideo(path, size_bytes)


def _named_path(source: str) -> Path:
    if source.startswith("/"):
        return Path(source)
    parts = urlsplit(source)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path.startswith("/"):
        raise UrlInvalid("The video_url must be file:// followed by an absolute, percent-encoded path.")
    return Path(unquote(parts.path))


def _readable_size_bytes(path: Path) -> int:
    if not path.is_file():  # opening a named pipe would block until it has a writer
        raise FileNotFoundError
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size
