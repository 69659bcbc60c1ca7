"""Fetches a file over http(s): streams it to disk, retries and resumes after faults, and bounds its size."""

import logging
import re
import shutil
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

import requests
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_exception,
    wait_random_exponential,
)
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from errors import DiskFull, DownloadError, DownloadTooLarge, SourceHttpError, UrlInvalid
from sources.address_guard import AddressGuard, guarded_session
from sources.presigned import check_expiry
from sources.url import check_url, redirected_url
from version import __version__

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
ATTEMPTS = 4
BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
MAX_RETRY_AFTER_S = 20
MAX_REDIRECTS = 5
PART_BYTES = 2**18
"""How much is read from the network and written to the file at a time."""
USER_AGENT = f"qwen3-vl-runpod/{__version__}"
STRONG_ETAG = re.compile(r'"[!#-~\x80-\xff]*"')
"""RFC 9110, section 8.8.3. Only a strong validator allows a range request with If-Range, section 13.1.5."""
TRANSIENT_STATUS = frozenset({408, 429, *range(500, 600)} - {501, 505, 508, 511})
"""Statuses worth another attempt. The four excluded ones say that the server will never answer this request."""


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


class HttpFetch:
    """Fetches one file. `run` blocks, so call it in a thread; `abort` may be called from any other.

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
        check_url(url, "The video_url")
        check_expiry(url)
        self._url = url
        self._target = target
        self._partial = target.with_name(f"{target.name}.part")
        self._max_bytes = max_bytes
        self._guard = AddressGuard(allow_private)
        self.received_bytes = 0
        self._have_bytes = 0  # written to the partial file
        self._size_bytes: int | None = None  # as the source announced it
        self._etag: str | None = None  # set as long as the partial file can be continued with a range request

    def abort(self) -> None:
        """Make the running fetch fail at once."""
        self._guard.abort()

    def run(self) -> int:
        """Fetch the file, blocking, and return its size in bytes. Network faults are retried.

        The target appears only once it is complete.

        Raises:
            DownloadError: or a subclass of it.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TransientFault),
            stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(self._guard.aborted),
            wait=wait_random_exponential(BACKOFF_S, MAX_BACKOFF_S) + wait_exception(_retry_after_s),
            sleep=sleep_using_event(self._guard.aborted),
            reraise=True,
        )
        try:
            with guarded_session(self._guard) as session:
                retrying(self._attempt, session)
        except TransientFault as fault:
            raise fault.verdict from fault
        if not self._have_bytes:
            raise DownloadError("The source is empty.")
        self._partial.rename(self._target)
        log.info("fetched %d bytes from %s", self._have_bytes, parse_url(self._url).host)
        return self._have_bytes

    def _attempt(self, session: requests.Session) -> None:
        headers = {"Accept-Encoding": "identity", "User-Agent": USER_AGENT}
        if self._etag:
            headers |= {"Range": f"bytes={self._have_bytes}-", "If-Range": self._etag}
        try:
            with self._open(session, headers) as response:
                self._accept(response)
                self._write(response)
        except requests.exceptions.InvalidURL as exc:
            raise UrlInvalid("The source's host name is not a valid one.") from exc
        except (
            HTTPError,
            requests.RequestException,
        ) as exc:  # RequestException while connecting, HTTPError while reading the body
            if _is_certificate_fault(exc):
                raise DownloadError("The source's TLS certificate is not valid.") from exc
            raise TransientFault(DownloadError("The connection to the source failed repeatedly.")) from exc
        except OSError as exc:  # of the disk: network errors arrive as one of the above
            if exc.errno in DiskFull.ERRNOS:
                raise DiskFull("The worker's disk is full.") from exc
            raise
        finally:
            self._guard.close()

    def _open(self, session: requests.Session, headers: dict[str, str]) -> BaseHTTPResponse:
        """Send the request and follow redirects: each target is checked like the first URL, and no body is read."""
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            timeouts_s = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
            response: BaseHTTPResponse = session.get(url, headers=headers, timeout=timeouts_s, stream=True).raw
            location = response.get_redirect_location()
            if not location:
                return response
            response.close()
            url = redirected_url(url, location)
        raise DownloadError(f"The source redirects more than {MAX_REDIRECTS} times.")

    def _accept(self, response: BaseHTTPResponse) -> None:
        """Check the status and headers, and set have_bytes to the offset in the file at which the body belongs.

        Raises:
            TransientFault: another attempt may succeed.
            SourceHttpError: the status is a refusal.
        """
        if response.status == HTTPStatus.OK:
            # With a content encoding, offsets in the body are not offsets in the file, so it cannot be resumed.
            encoded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
            self._size_bytes = None if encoded else response.length_remaining
            etag = response.headers.get("ETag", "")
            self._etag = etag if STRONG_ETAG.fullmatch(etag) and self._size_bytes else None
            self._have_bytes = 0
            return
        if self._etag and response.status == HTTPStatus.PARTIAL_CONTENT:
            assert self._size_bytes
            remainder = f"bytes {self._have_bytes}-{self._size_bytes - 1}/{self._size_bytes}"
            if response.headers.get("Content-Range") == remainder:
                return
        if self._etag and response.status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            self._etag = None
            raise TransientFault(DownloadError("The source answered with another part than was asked for."))
        refusal = SourceHttpError(f"The source answered with HTTP status {response.status}.")
        if response.status in TRANSIENT_STATUS:
            retry_after = response.headers.get("Retry-After", "")
            wait_s = min(int(retry_after), MAX_RETRY_AFTER_S) if re.fullmatch("[0-9]{1,9}", retry_after) else 0
            raise TransientFault(refusal, wait_s)
        raise refusal

    def _write(self, response: BaseHTTPResponse) -> None:
        """Write the body to the partial file, from offset have_bytes on."""
        if self._size_bytes and self._size_bytes > self._max_bytes:
            raise self._too_large()
        self._partial.touch(mode=0o600)
        with self._partial.open("ab" if self._have_bytes else "wb") as file:
            if self._size_bytes and self._size_bytes - self._have_bytes > shutil.disk_usage(self._partial).free:
                raise DiskFull("The worker's disk has no room for the source.")
            for part in response.stream(PART_BYTES, decode_content=True):
                if self._have_bytes + len(part) > self._max_bytes:
                    raise self._too_large()
                file.write(part)
                self._have_bytes += len(part)
                self.received_bytes += len(part)
        if self._size_bytes not in (None, self._have_bytes):
            self._etag = None
            raise TransientFault(DownloadError("The source sent another number of bytes than it announced."))

    def _too_large(self) -> DownloadTooLarge:
        return DownloadTooLarge(f"The source is larger than the limit of {self._max_bytes} bytes.")


def _retry_after_s(fault: BaseException) -> float:
    return fault.retry_after_s if isinstance(fault, TransientFault) else 0.0


def _is_certificate_fault(exc: BaseException | None) -> bool:
    """Whether an invalid certificate is among the causes of an exception."""
    while exc and not isinstance(exc, ssl.SSLCertVerificationError):
        exc = exc.__context__
    return exc is not None
