"""Brings a job's source to the local disk."""

import asyncio
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config import Settings
from errors import DownloadError, DownloadTimeout, SourceNotFound, UrlInvalid
from records import LocalVideo
from sources.http import HttpFetch


async def download(source: str, directory: Path, settings: Settings) -> LocalVideo:
    """Fetch an http(s) URL into a directory, or find an allowed local path.

    A cancelled caller ends the transfer at once; what was written stays for the directory's owner
    to remove.

    Args:
        source: http(s) URL, or a path or file:// URL under one of settings.video_roots.
        directory: an existing directory of this job.
        settings: limits and allowances.

    Raises:
        DownloadError: or one of its kinds.
    """
    if urlsplit(source).scheme in ("", "file"):
        return await asyncio.to_thread(_local_video, source, settings)
    target = directory / "source"
    fetch = HttpFetch(source, target, settings.max_download_bytes, settings.download_allow_private)
    try:
        async with asyncio.timeout(settings.download_timeout_s):
            await asyncio.to_thread(fetch.run)
    except TimeoutError as exc:
        raise DownloadTimeout(f"The source was not complete after {settings.download_timeout_s:g} s.") from exc
    finally:
        fetch.abort()
    size_bytes = target.stat().st_size
    if not size_bytes:
        raise DownloadError("The source is empty.")
    return LocalVideo(target, size_bytes)


def _local_video(source: str, settings: Settings) -> LocalVideo:
    if not settings.video_roots:
        raise UrlInvalid("The video_url must start with http:// or https://.")
    named = Path(unquote(urlsplit(source).path) if source.startswith("file:") else source)
    path = named.resolve()
    if not any(path.is_relative_to(root) for root in settings.video_roots):
        raise UrlInvalid("The video_url's path is outside the directories in VIDEO_ROOTS.")
    if not path.is_file():
        raise SourceNotFound("No file stands at the video_url's path.")
    size_bytes = path.stat().st_size
    if not size_bytes:
        raise DownloadError("The source is empty.")
    return LocalVideo(path, size_bytes)
