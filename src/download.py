"""Brings a job's source onto the local disk."""

import asyncio
from dataclasses import replace
from pathlib import Path

from config import Settings
from errors import DownloadTimeout
from own_thread import in_own_thread
from records import LocalVideo
from sources.http import HttpFetch
from sources.local import is_local, local_video

SPEED_WINDOW_S, MIN_BYTES_PER_WINDOW = 120.0, 10**6
"""A download that brings less in one window is given up, because the GPU is paid for while a job waits. The window is
long enough for all four attempts with their pauses."""


async def download(source: str, directory: Path, settings: Settings) -> LocalVideo:
    """Fetch an http(s) URL into a directory, or link an allowed local path there.

    The file is always called `source`, whatever the caller calls it. No transfer outlives the call, whether it returns,
    raises or is cancelled. A partly written file stays; the owner of the directory removes it.

    Args:
        source: an http(s) URL, or an absolute path or file:// URL below one of settings.video_roots.
        directory: an existing directory that belongs to this job.
        settings: limits, and what may be accessed.

    Raises:
        DownloadError: or a subclass of it.
    """
    target = directory / "source"
    if is_local(source):
        found = await in_own_thread(lambda: local_video(source, settings.video_roots))
        target.symlink_to(found.path)
        return replace(found, path=target)
    fetch = HttpFetch(source, target, settings.max_download_bytes, settings.download_allow_private)
    fetching = asyncio.create_task(fetch.run())
    try:
        async with asyncio.timeout(settings.download_timeout_s):
            await _wait_while_fast_enough(fetching, fetch)
    except TimeoutError as exc:
        raise DownloadTimeout(f"The source was not complete after {settings.download_timeout_s:g} s.") from exc
    finally:
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)
    return LocalVideo(target, fetching.result())


async def _wait_while_fast_enough(fetching: asyncio.Task[int], fetch: HttpFetch) -> None:
    """Wait for a transfer to end.

    Raises:
        DownloadTimeout: it brought less than MIN_BYTES_PER_WINDOW in the last window.
    """
    before_bytes = 0
    while not (await asyncio.wait({fetching}, timeout=SPEED_WINDOW_S))[0]:
        if fetch.received_bytes - before_bytes < MIN_BYTES_PER_WINDOW:
            raise DownloadTimeout(
                f"The source sent less than {MIN_BYTES_PER_WINDOW / 1e6:g} MB in {SPEED_WINDOW_S:g} s."
            )
        before_bytes = fetch.received_bytes
