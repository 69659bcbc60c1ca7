"""Brings a job's source to the local disk."""

import asyncio
from dataclasses import replace
from pathlib import Path

from config import Settings
from errors import DownloadTimeout
from records import LocalVideo
from sources.http import HttpFetch
from sources.local import is_local, local_video

SLOW_WINDOW_S, LEAST_BYTES_A_WINDOW = 120.0, 10**6
"""A slower source is given up: the GPU is paid for while a job waits. Four attempts with their pauses fit in."""
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
        async with asyncio.timeout(settings.download_timeout_s):
            await _while_fast_enough(fetching, fetch)
    except TimeoutError as exc:
        raise DownloadTimeout(f"The source was not complete after {settings.download_timeout_s:g} s.") from exc
    finally:
        fetch.abort()
        await asyncio.wait({fetching}, timeout=ABORT_GRACE_S)
    return LocalVideo(target, fetching.result())


async def _while_fast_enough(fetching: asyncio.Task[int], fetch: HttpFetch) -> None:
    """Wait for a transfer, for as long as it brings enough in each window of time."""
    before_bytes = 0
    while not (await asyncio.wait({fetching}, timeout=SLOW_WINDOW_S))[0]:
        if fetch.received_bytes - before_bytes < LEAST_BYTES_A_WINDOW:
            raise DownloadTimeout(f"The source sent less than a megabyte in {SLOW_WINDOW_S:g} s.")
        before_bytes = fetch.received_bytes


def _retrieve_exception(fetching: asyncio.Task[int]) -> None:
    """Keep asyncio from logging the exception of an aborted transfer."""
    if not fetching.cancelled():
        fetching.exception()
