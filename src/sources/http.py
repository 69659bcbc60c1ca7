"""Fetches a file over http(s): streamed, resumed after a fault, bounded in bytes."""

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
USER_AGENT = f"qwen3-vl-runpod/{__version__}"
STRONG_ETAG = re.compile(r'"[!#-~\x80-\xff]*"')
TRANSIENT_STATUS = frozenset({408, 429, *range(500, 600)} - {501, 505, 508, 511})
"""Not those of a server that says it never will."""


class TransientFault(Exception):
    """A fault that another attempt may not meet."""

    def __init__(self, verdict: DownloadError, retry_after_s: float = 0.0) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict
        """What to report when no attempt is left."""
        self.retry_after_s = retry_after_s
        """How long the source asks to be left alone."""


class HttpFetch:
    """One file, fetched in a thread; `abort` ends it from another one.

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
        """Of all attempts together."""
        self._have_bytes = 0
        self._size_bytes: int | None = None
        self._etag: str | None = None
        """Set while what the target holds can be continued."""

    def abort(self) -> None:
        """Make the running fetch fail at once."""
        self._guard.abort()

    def run(self) -> int:
        """Write the file, blocking, and return its size in bytes; faults of the network are tried again.

        Until it is complete it has another name.

        Raises:
            DownloadError: or one of its kinds.
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
        except (HTTPError, requests.RequestException) as exc:  # the latter while connecting, the former while reading
            if _is_certificate_fault(exc):
                raise DownloadError("The source's TLS certificate is not valid.") from exc
            raise TransientFault(DownloadError("The connection to the source failed repeatedly.")) from exc
        except OSError as exc:  # those of the network came as one of the above
            if exc.errno in DiskFull.ERRNOS:
                raise DiskFull("The worker's disk is full.") from exc
            raise
        finally:
            self._guard.close()

    def _open(self, session: requests.Session, headers: dict[str, str]) -> BaseHTTPResponse:
        """Follow redirects by hand, each checked like the first address, their bodies unread."""
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
        """Take up what the answer says of the file: from here on its body belongs at offset have_bytes."""
        if response.status == HTTPStatus.OK:
            # Offsets of an encoded body are not offsets of the file.
            encoded = response.headers.get("Content-Encoding", "identity").lower() != "identity"
            self._size_bytes = None if encoded else response.length_remaining
            etag = response.headers.get("ETag", "")
            self._etag = etag if STRONG_ETAG.fullmatch(etag) and self._size_bytes else None
            self._have_bytes = 0
            return
        if self._etag and response.status == HTTPStatus.PARTIAL_CONTENT:
            assert self._size_bytes
            rest = f"bytes {self._have_bytes}-{self._size_bytes - 1}/{self._size_bytes}"
            if response.headers.get("Content-Range") == rest:
                return
        if self._etag and response.status in (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            self._etag = None
            raise TransientFault(DownloadError("The source answered with another part than was asked for."))
        refusal = SourceHttpError(f"The source answered with HTTP status {response.status}.")
        if response.status in TRANSIENT_STATUS:
            wish = response.headers.get("Retry-After", "")
            raise TransientFault(refusal, min(int(wish), MAX_RETRY_AFTER_S) if re.fullmatch("[0-9]{1,9}", wish) else 0)
        raise refusal

    def _write(self, response: BaseHTTPResponse) -> None:
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
    while exc and not isinstance(exc, ssl.SSLCertVerificationError):
        exc = exc.__context__
    return exc is not None
