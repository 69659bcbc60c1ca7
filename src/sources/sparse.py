"""A video of which only parts are fetched: its index first, then what a question needs."""

import logging
from collections.abc import Sequence
from pathlib import Path

from byte_ranges import ByteRange, merged, total_bytes, without
from config import Settings
from protocol import MAX_RANGES
from records import LocalVideo
from sources.local import is_local
from sources.mp4_boxes import LARGE_HEADER, NotByIndex, boxes_of, needed_for_index
from sources.parts import HttpParts, NoParts, SourceChanged
from sources.time_limit import TimeLimit

log = logging.getLogger(__name__)

LOOK_BYTES = 2**16
"""How much is fetched to see the header of a box: an index of a few minutes comes along with it."""
MAX_SHARE = 0.5
"""If more of a file is needed, all of it is fetched: the time for the requests and for the index is not saved then."""


class SparseVideo:
    """A video of which parts were fetched, and of which more can be. No version of the source is mixed with another.

    Args:
        parts: what was fetched so far, the index among it.
        limit: for all that is fetched.
    """

    def __init__(self, parts: HttpParts, limit: TimeLimit) -> None:
        self._parts, self._limit = parts, limit

    @property
    def video(self) -> LocalVideo:
        """The file, and what was fetched of it so far."""
        parts = self._parts
        present = () if parts.present == [ByteRange(0, parts.size_bytes)] else tuple(parts.present)
        return LocalVideo(parts.path, parts.size_bytes, present)

    async def fetch(self, ranges: Sequence[ByteRange]) -> LocalVideo:
        """Fetch these ranges too, or all of the file where that is hardly more; none stand for all of it.

        Cancelling the call ends the transfer at once. Ranges may reach beyond the end of the file.

        Raises:
            SourceChanged: there is another file now; what was fetched is of no use any more.
            DownloadError: or a subclass of it.
        """
        await self._limit.run(self._parts.fetch(self._wanted(ranges)), lambda: self._parts.received_bytes)
        log.info("fetched %d of %d bytes in parts from %s",
                 total_bytes(self._parts.present), self._parts.size_bytes, self._parts.source.host)  # fmt: skip
        return self.video

    async def fetch_rest(self) -> LocalVideo:
        """Fetch all that is missing; see `fetch`."""
        return await self.fetch(())

    def _wanted(self, ranges: Sequence[ByteRange]) -> list[ByteRange]:
        size_bytes = self._parts.size_bytes
        inside = [ByteRange(min(one.start, size_bytes), min(one.stop, size_bytes)) for one in ranges]
        present = merged([*self._parts.present, *inside])
        is_most = total_bytes(present) > MAX_SHARE * size_bytes
        return [ByteRange(0, size_bytes)] if not ranges or is_most or len(present) > MAX_RANGES else inside


async def fetch_index(source: str, directory: Path, settings: Settings) -> SparseVideo | None:
    """Fetch of a video what must be known to describe it, if it can be fetched in parts.

    That is certain of an MP4 or MOV without fragments, from a source that sends parts and says by a strong ETag which
    version they are of. Else nothing stays on the disk, and `download` has to fetch all of it. So it has where parts
    would be most of the file.

    Args:
        source: see `download.download`.
        directory: an existing directory that belongs to this job; the file has the name that `download` gives it.
        settings: limits, and what may be accessed.

    Raises:
        DownloadError: or a subclass of it; `download` would raise it too.
    """
    if is_local(source):
        return None
    target = directory / "source"
    parts = HttpParts(source, target, settings.max_download_bytes, settings.download_allow_private)
    limit = TimeLimit(settings.download_timeout_s)
    try:
        await limit.run(_fetch_index(parts), lambda: parts.received_bytes)
    except (NoParts, NotByIndex, SourceChanged) as exc:
        log.info("the source is fetched as a whole: %s", exc)
        target.unlink(missing_ok=True)
        return None
    return SparseVideo(parts, limit)


async def _fetch_index(parts: HttpParts) -> None:
    """Fetch the beginning, the header of every box, and then what is needed.

    Raises:
        NoParts: more would be needed than is worth it, or see HttpParts.
        NotByIndex: see mp4_boxes.
        SourceChanged: the source changed meanwhile.
    """

    async def header_at(at: int) -> bytes:
        header = ByteRange(at, min(at + LARGE_HEADER.size, parts.size_bytes))
        if without([header], parts.present):
            await parts.fetch([ByteRange(at, min(at + LOOK_BYTES, parts.size_bytes))])
        return await parts.read(header)

    await parts.fetch([ByteRange(0, LOOK_BYTES)])
    wanted = needed_for_index(await boxes_of(header_at, parts.size_bytes))
    if total_bytes(merged([*parts.present, *wanted])) > MAX_SHARE * parts.size_bytes:
        raise NoParts("most of it would be needed")
    await parts.fetch(wanted)
