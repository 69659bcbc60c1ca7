"""Fetches parts of a file over http(s) to where they stand in it; the rest of the file on the disk is a hole."""

import errno
import re
from collections.abc import Sequence
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

from byte_ranges import ByteRange, merged, total_bytes, without
from errors import DownloadError, DownloadTooLarge
from own_thread import in_own_thread
from sources.file_version import Version
from sources.http import TRANSIENT_STATUS, HttpSource, TransientFault
from sources.http_request import HttpResponse
from sources.partial_file import PartialFile

MAX_FILE_BYTES = 2**38
"""Who reads a film's packets reads through its holes, at a gigabyte or two in a second."""
CONTENT_RANGE = re.compile(r"bytes 0-(\d{1,18})/(\d{1,18})", re.ASCII)
IMPOSSIBLE_SIZE = frozenset([errno.EFBIG, errno.EINVAL, errno.ENOSPC])
"""What file systems say of a file that is larger than any they can hold."""


class NoParts(Exception):
    """The source cannot be fetched in parts; as a whole perhaps."""


class SourceChanged(DownloadError):
    """Between two requests another version of the file took its place, or the source sends wrong parts."""

    SENTENCE: ClassVar = "The source changed while it was fetched, or sent other parts than were asked for."


class HttpParts:
    """Fetches parts of one version of a file. Holds nothing open between two calls.

    Args:
        url: an http(s) URL.
        path: where the file goes; it has the size of the source from the first answer on.
        max_bytes: how much is fetched at most.
        allow_private: see AddressGuard.

    Attributes:
        present: what was fetched, ascending.
        received_bytes: of all attempts together, for measuring the speed.

    Raises:
        UrlInvalid: see `check_url`.
        UrlExpired: see `check_expiry`.
    """

    def __init__(self, url: str, path: Path, max_bytes: int, allow_private: Sequence[str]) -> None:
        self.source = HttpSource(url, allow_private)
        self.path = path
        self.present: list[ByteRange] = []
        self.received_bytes = 0
        self._max_bytes = max_bytes
        self._version: Version | None = None

    @property
    def size_bytes(self) -> int:
        """The size of the whole file; 0 before the first answer."""
        return self._version.size_bytes if self._version else 0

    async def fetch(self, wanted: Sequence[ByteRange]) -> None:
        """Fetch what is still missing of some ranges, of which the very first begins at 0. Network faults are retried.

        Raises:
            NoParts: the first answer has no part of the file, or nothing by which its version is known.
            SourceChanged: a later answer is of another version of the file.
            DownloadError: or a subclass of it.
        """
        missing = without(wanted, self.present)
        if total_bytes(self.present) + total_bytes(missing) > self._max_bytes:
            raise DownloadTooLarge(f"What is needed of the source is larger than the limit of {self._max_bytes} bytes.")
        for part in missing:
            await self._fetch_part(part)

    async def read(self, part: ByteRange) -> bytes:
        """Return bytes that were fetched."""
        return await in_own_thread(_read, self.path, part)

    async def _fetch_part(self, part: ByteRange) -> None:
        file, left = PartialFile(self.path, has_holes=True), part

        async def attempt() -> None:
            nonlocal left, part
            if not left.size_bytes:  # the connection failed after the last byte
                return
            headers = {"Accept-Encoding": "identity", "Range": f"bytes={left.start}-{left.stop - 1}"}
            if self._version:
                headers["If-Range"] = self._version.etag
            async with self.source.answer(headers) as response:
                if self._version is None:
                    self._version = self._version_of(response, part)
                    part = left = ByteRange(0, min(part.stop, self.size_bytes))
                    await _make_hole(file, self.size_bytes)
                self._check(response, left)
                async with file.opened(left.start, left.size_bytes), aclosing(response.body) as parts:
                    async for content in parts:
                        if len(content) > left.size_bytes:
                            raise SourceChanged(SourceChanged.SENTENCE)
                        await file.write(content)
                        self.received_bytes += len(content)
                        left = ByteRange(left.start + len(content), left.stop)
            if left.size_bytes:
                raise _changed()

        try:
            await self.source.tried(attempt)
        finally:
            file.close()
        self.present = merged([*self.present, part])

    def _version_of(self, response: HttpResponse, part: ByteRange) -> Version:
        """The version of the file of which the first answer sends the first bytes.

        Raises:
            TransientFault: another attempt may bring such an answer.
            NoParts: no attempt will.
        """
        if response.status in TRANSIENT_STATUS:
            raise self.source.refusal(response)
        sent = CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if response.status != HTTPStatus.PARTIAL_CONTENT or sent is None:
            raise NoParts("it does not send parts")
        size_bytes = int(sent[2])
        version = Version.of(response, size_bytes)
        if size_bytes > MAX_FILE_BYTES:
            raise NoParts("it is too large for a file with holes")
        if version is None or int(sent[1]) != min(part.stop, size_bytes) - 1:
            raise NoParts("it does not say which version of the file it sends a part of, or sends another part")
        return version

    def _check(self, response: HttpResponse, part: ByteRange) -> None:
        """Make sure that an answer is a part of the version of the first one.

        Raises:
            TransientFault: it is not, or another attempt may succeed.
            SourceHttpError: the status is a refusal.
        """
        assert self._version
        if self._version.is_sent_by(response, part):
            return
        is_answer = response.status < HTTPStatus.BAD_REQUEST
        if is_answer or response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _changed()
        raise self.source.refusal(response)


def _changed() -> TransientFault:
    """Another attempt may reach a server that still has the file as it was."""
    return TransientFault(SourceChanged(SourceChanged.SENTENCE))


async def _make_hole(file: PartialFile, size_bytes: int) -> None:
    try:
        await file.make_hole(size_bytes)
    except OSError as exc:
        if exc.errno in IMPOSSIBLE_SIZE:
            raise NoParts("no file can be that large") from exc
        raise


def _read(path: Path, part: ByteRange) -> bytes:
    with path.open("rb") as file:
        file.seek(part.start)
        return file.read(part.size_bytes)
