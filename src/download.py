"""Brings a job's source onto the local disk."""

from dataclasses import replace
from pathlib import Path

from config import Settings
from own_thread import in_own_thread
from records import LocalVideo
from sources.http import HttpFetch
from sources.local import is_local, local_video
from sources.time_limit import TimeLimit


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
    size_bytes = await TimeLimit(settings.download_timeout_s).run(fetch.run(), lambda: fetch.received_bytes)
    return LocalVideo(target, size_bytes)
