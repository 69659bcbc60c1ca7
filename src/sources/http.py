"""Fetches a file over http(s): streamed, resumed after a fault, bounded in bytes and time."""

import errno
import logging
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from urllib3.exceptions import HTTPError

from errors import DiskFull, DownloadError, DownloadTooLarge, SourceHttpError, UrlInvalid
from sources.address_guard import AddressGuard, guarded_session

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
MAX_REDIRECTS = 5
ATTEMPTS = 4
PART_BYTES = 2**18
PORTS = frozenset({80, 443, 8000, 8080, 8443})
TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class TransientFault(Exception):
    """A fault that another attempt may not meet; its cause says which."""


class HttpFetch:
    """One file, fetched in a thread; `abort` ends it from another one."""

    def __init__(self, url: str, target: Path, max_bytes: int, allow_private: tuple[str, ...]) -> None:
        check_url(url, any_port=bool(allow_private))
        self._url = url
        self._target = target
        self._max_bytes = max_bytes
        self._any_port = bool(allow_private)
        self._guard = AddressGuard(allow_private)
        self._strong_etag: str | None = None

    def abort(self) -> None:
        """Make the running fetch fail at once."""
        self._guard.abort()

    def run(self) -> None:
        """Write the file, blocking; faults of the network are tried again.

        Raises:
            DownloadError: or one of its kinds.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(TransientFault),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            reraise=True,
        )
        try:
            with guarded_session(self._guard) as session:
                retrying(self._attempt, session)
        except TransientFault as fault:
            if isinstance(fault.__cause__, DownloadError):
                raise fault.__cause__ from fault
            raise DownloadError("The connection to the source failed repeatedly.") from fault

    def _attempt(self, session: requests.Session) -> None:
        have_bytes = self._target.stat().st_size if self._strong_etag and self._target.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if have_bytes and self._strong_etag:
            headers |= {"Range": f"bytes={have_bytes}-", "If-Range": self._strong_etag}
        try:
            with self._open(session, headers) as response:
                self._write(response, have_bytes)
        except (requests.RequestException, HTTPError, ConnectionError, TimeoutError) as exc:
            raise TransientFault from exc

    def _open(self, session: requests.Session, headers: dict[str, str]) -> requests.Response:
        """Follow redirects by hand, each checked like the first address."""
        url = self._url
        for _ in range(MAX_REDIRECTS + 1):
            response = session.get(
                url, headers=headers, stream=True, allow_redirects=False, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
            )
            if not response.is_redirect:
                return response
            target = urljoin(url, response.headers["location"])
            response.close()
            if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
                raise UrlInvalid("The source redirects from https to http.")
            check_url(target, any_port=self._any_port)
            url = target
        raise DownloadError(f"The source redirects more than {MAX_REDIRECTS} times.")

    def _write(self, response: requests.Response, have_bytes: int) -> None:
        if response.status_code not in (200, 206):
            error = SourceHttpError(f"The source answered with HTTP status {response.status_code}.")
            if response.status_code in TRANSIENT_STATUS:
                raise TransientFault from error
            raise error
        resumed = response.status_code == 206 and response.headers.get("content-range", "").startswith(
            f"bytes {have_bytes}-"
        )
        if response.status_code == 206 and not resumed:
            self._strong_etag = None  # start over on the next attempt
            raise TransientFault from DownloadError("The source answered with another part than was asked for.")
        etag = response.headers.get("etag", "")
        self._strong_etag = etag if etag.startswith('"') else None
        total_bytes = have_bytes if resumed else 0
        announced_bytes = int(response.headers.get("content-length", "0") or 0)
        if total_bytes + announced_bytes > self._max_bytes:
            raise DownloadTooLarge(f"The source is larger than the limit of {self._max_bytes} bytes.")
        try:
            with self._target.open("ab" if resumed else "wb") as file:
                while part := response.raw.read1(PART_BYTES):
                    total_bytes += len(part)
                    if total_bytes > self._max_bytes:
                        raise DownloadTooLarge(f"The source is larger than the limit of {self._max_bytes} bytes.")
                    file.write(part)
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull("The worker's disk is full.") from exc
            raise
        log.info("fetched %d bytes from %s", total_bytes, urlsplit(self._url).hostname)


def check_url(url: str, *, any_port: bool = False) -> None:
    """Accept well-formed http(s) URLs with a host, on a usual port, without a user name.

    Raises:
        UrlInvalid: says what is wrong, without repeating the URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise UrlInvalid("The video_url is not a well-formed URL.") from exc
    if parts.scheme not in ("http", "https"):
        raise UrlInvalid("The video_url must start with http:// or https://.")
    if not parts.hostname or any(character in url for character in "\\ \t\r\n\0") or not url.isprintable():
        raise UrlInvalid("The video_url is not a well-formed URL.")
    if parts.username is not None or parts.password is not None:
        raise UrlInvalid("The video_url must not carry a user name or password.")
    if port is not None and port not in PORTS and not any_port:
        raise UrlInvalid(f"The video_url's port must be one of {', '.join(map(str, sorted(PORTS)))}.")
