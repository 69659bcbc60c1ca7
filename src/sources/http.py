"""Fetches a file over http(s): streams it to disk, retries and resumes after faults, and bounds its size."""

import logging
import re
import zlib
from asyncio import sleep
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import httpcore2
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exception,
    wait_random_exponential,
)

from byte_ranges import ByteRange
from errors import DownloadError, DownloadTooLarge, SourceHttpError
from sources.address_guard import AddressGuard
from sources.content_coding import codings, decoded
from sources.file_version import Version
from sources.http_request import HttpResponse, get
from sources.partial_file import PartialFile
from sources.presigned import check_expiry
from sources.url import check_url, redirected_url, request_to

log = logging.getLogger(__name__)

ATTEMPTS = 4
BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
MAX_RETRY_AFTER_S = 20
MAX_REDIRECTS = 5
TRANSIENT_STATUS = frozenset({408, 429, *range(500, 600)} - {501, 505, 508, 511})
"""Statuses worth another attempt. The four excluded ones say that the server will never answer this request."""
TRANSIENT_FAULTS = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.RemoteProtocolError, zlib.error)


class TransientFault(Exception):
    """A fault that may not occur again in another attempt.

    Attributes:
        verdict: the error to report when no attempt is left.
        retry_after_s: how long the source asks to wait before the next attempt.
    """

    def __init__(self, verdict: DownloadError, retry_after_s: float = 0.0) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict
        self.retry_after_s = retry_after_s


class HttpSource:
    """A URL that is asked again where a network fails.

    Args:
        url: an http(s) URL.
        allow_private: see AddressGuard.

    Raises:
        UrlInvalid: see `check_url`.
        UrlExpired: see `check_expiry`.
    """

    def __init__(self, url: str, allow_private: Sequence[str]) -> None:
        check_url(url, "The video_url")
        check_expiry(url)
        self._url = url
        self._guard = AddressGuard(allow_private)

    @property
    def host(self) -> str:
        """The host that the URL names, for the log."""
        return request_to(self._url)[0].host.decode()

    async def tried(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """Call `attempt` until it succeeds, at most ATTEMPTS times, as long as it fails by a TransientFault.

        Raises:
            DownloadError: or a subclass of it; the verdict of the last TransientFault, or what `attempt` raises.
        """

        async def mapped() -> None:
            check_expiry(self._url)
            try:
                await attempt()
            except TRANSIENT_FAULTS as exc:
                raise TransientFault(DownloadError("The connection to the source failed repeatedly.")) from exc

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientFault),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(BACKOFF_S, MAX_BACKOFF_S) + wait_exception(_retry_after_s),
            sleep=sleep,
            reraise=True,
        )
        try:
            await retrying(mapped)
        except TransientFault as fault:
            raise fault.verdict from fault

    @asynccontextmanager
    async def answer(self, headers: dict[str, str]) -> AsyncGenerator[HttpResponse]:
        """Request the URL and follow redirects: each target is checked like the first URL, and no body is read."""
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            async with get(url, headers, self._guard) as response:
                if not response.location:
                    yield response
                    return
                url = redirected_url(url, response.location)
        raise DownloadError(f"The source redirects more than {MAX_REDIRECTS} times.")

    def refusal(self, response: HttpResponse) -> TransientFault | SourceHttpError:
        """Return what to raise for an answer that is not accepted.

        Raises:
            UrlExpired: the status is a refusal, and the URL has expired.
        """
        if HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            check_expiry(self._url, timedelta(0))  # it may have expired since the attempt began
        refusal = SourceHttpError(f"The source answered with HTTP status {response.status}.")
        if response.status in TRANSIENT_STATUS:
            retry_after = response.headers.get("retry-after", "")
            wait_s = min(int(retry_after), MAX_RETRY_AFTER_S) if re.fullmatch("[0-9]{1,9}", retry_after) else 0
            return TransientFault(refusal, wait_s)
        return refusal


class HttpFetch:
    """Fetches one file, once. Cancelling `run` ends the transfer at once.

    Args:
        url: an http(s) URL.
        target: where the file goes; a partly fetched one has `.part` added to its name.
        max_bytes: the largest size that is accepted.
        allow_private: see AddressGuard.

    Attributes:
        received_bytes: of all attempts together, for measuring the speed.

    Raises:
        UrlInvalid: see `check_url`.
        UrlExpired: see `check_expiry`.
    """

    def __init__(self, url: str, target: Path, max_bytes: int, allow_private: Sequence[str]) -> None:
        self._source = HttpSource(url, allow_private)
        self._file = PartialFile(target)
        self._max_bytes = max_bytes
        self.received_bytes = 0
        self._have_bytes = 0  # written to the partial file
        self._version: Version | None = None  # of the partial file, as long as it can be continued

    async def run(self) -> int:
        """Fetch the file and return its size in bytes. Network faults are retried.

        The target appears only once it is complete.

        Raises:
            DownloadError: or a subclass of it.
        """
        try:
            await self._source.tried(self._attempt)
            if not self._have_bytes:
                raise DownloadError("The source is empty.")
            await self._file.complete()
        finally:
            self._file.close()
        log.info("fetched %d bytes from %s", self._have_bytes, self._source.host)
        return self._have_bytes

    async def _attempt(self) -> None:
        headers = {"Accept-Encoding": "identity"}
        if self._version:
            headers |= {"Range": f"bytes={self._have_bytes}-", "If-Range": self._version.etag}
        async with self._source.answer(headers) as response:
            await self._write(response, self._accepted_size_bytes(response))

    def _accepted_size_bytes(self, response: HttpResponse) -> int | None:
        """Check the status and headers, and set have_bytes to the offset in the file at which the body belongs.

        Returns:
            The size of the whole file, if it was announced.

        Raises:
            TransientFault: another attempt may succeed.
            DownloadError: see HttpSource.refusal.
        """
        if response.status == HTTPStatus.OK:
            # With a content encoding, offsets in the body are not offsets in the file, so it cannot be resumed.
            is_encoded = response.headers.get("content-encoding", "identity").lower() != "identity"
            size_bytes = None if is_encoded else response.length_bytes
            self._version = Version.of(response, size_bytes)
            self._have_bytes = 0
            return size_bytes
        if self._version and response.status in (
            HTTPStatus.PARTIAL_CONTENT,
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        ):
            version, self._version = self._version, None
            if not version.is_sent_by(response, ByteRange(self._have_bytes, version.size_bytes)):
                raise TransientFault(DownloadError("The source changed, or sent another part than was asked for."))
            self._version = version
            return version.size_bytes
        raise self._source.refusal(response)

    async def _write(self, response: HttpResponse, size_bytes: int | None) -> None:
        """Write the body to the partial file, from offset have_bytes on."""
        if size_bytes and size_bytes > self._max_bytes:
            raise self._too_large()
        more_bytes = size_bytes - self._have_bytes if size_bytes else None
        coding = codings(response.headers.get("content-encoding", ""))
        async with (
            self._file.opened(self._have_bytes, more_bytes) as file,
            aclosing(decoded(response.body, coding)) as parts,
        ):
            async for part in parts:
                if self._have_bytes + len(part) > self._max_bytes:
                    raise self._too_large()
                await file.write(part)
                self._have_bytes += len(part)
                self.received_bytes += len(part)

    def _too_large(self) -> DownloadTooLarge:
        return DownloadTooLarge(f"The source is larger than the limit of {self._max_bytes} bytes.")


def _retry_after_s(fault: BaseException) -> float:
    return fault.retry_after_s if isinstance(fault, TransientFault) else 0.0
