"""Brings a job's source to the local disk."""

import asyncio
from dataclasses import replace
from pathlib import Path

from config import Settings
from errors import DownloadTimeout
from records import LocalVideo
from sources.http import HttpFetch
from sources.local import is_local, local_video

ABORT_GRACE_S = 2.0
"""How long an aborted transfer may take to end; only a name server that does not answer needs it."""


async def download(source: str, directory: Path, settings: Settings) -> LocalVideo:
    """Fetch an http(s) URL into a directory, or link an allowed local path there.

    Either way the file has the same name, which is not the caller's. When it returns, raises or is cancelled, the
    transfer has ended; what was written stays for the directory's owner to remove.

    Args:
        source: http(s) URL, or an absolute path or file:// URL under one of settings.video_roots.
        directory: an existing directory of this job.
        settings: limits and allowances.

    Raises:
        DownloadError: or one of its kinds.
    """
    target = directory / "source"
    if is_local(source):
        found = await asyncio.to_thread(local_video, source, settings.video_roots)
        target.symlink_to(found.path)
        return replace(found, path=target)
    fetch = HttpFetch(source, target, settings.max_download_bytes, settings.download_allow_private)
    fetching = asyncio.create_task(asyncio.to_thread(fetch.run))
    fetching.add_done_callback(_retrieve_exception)
    try:
        done, _ = await asyncio.wait({fetching}, timeout=settings.download_timeout_s)
    finally:
        fetch.abort()
        await asyncio.wait({fetching}, timeout=ABORT_GRACE_S)
    if not done:
        raise DownloadTimeout(f"The source was not complete after {settings.download_timeout_s:g} s.")
    return LocalVideo(target, fetching.result())


def _retrieve_exception(fetching: asyncio.Task[int]) -> None:
    """Keep asyncio from logging the exception of an aborted transfer."""
    if not fetching.cancelled():
        fetching.exception()
