"""Sends one GET request, and reads the head of its answer."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import certifi
import httpcore2

from own_thread import in_own_thread
from sources.address_guard import AddressGuard
from sources.connection import Connection
from sources.url import request_to
from version import __version__

CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
MAX_HEADERS = 100
MAX_HEADER_BYTES = 2**16
"""For all headers of an answer together."""
USER_AGENT = f"qwen3-vl-runpod/{__version__}"
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The head of an answer, and a body that has not been read yet.

    Attributes:
        status: of the answer itself; redirects are not followed.
        headers: by name in lower case, decoded as Latin-1. The values of a repeated header are joined by commas.
        body: as it was sent, in parts of no particular size, each valid until the next one is asked for. An incomplete
            one ends in httpcore2.RemoteProtocolError.
    """

    status: int
    headers: Mapping[str, str]
    body: AsyncGenerator[bytes | memoryview]

    @property
    def location(self) -> str | None:
        """Where the answer redirects to; None if it does not redirect."""
        return (self.headers.get("location") or None) if self.status in REDIRECTS else None

    @property
    def length_bytes(self) -> int | None:
        """The length of the body as it is announced, or None."""
        length = self.headers.get("content-length")
        if length is None or "transfer-encoding" in self.headers:
            return None
        return int(length.partition(",")[0])  # digits: what is not a number, or two numbers, is not let through by h11


@asynccontextmanager
async def get(url: str, headers: Mapping[str, str], guard: AddressGuard) -> AsyncGenerator[HttpResponse]:
    """Request a URL on a new connection, which is closed at the end whether or not the body has been read.

    Proxies, netrc and cookies are no concern of httpcore's.

    Args:
        url: a checked URL.
        headers: in addition to Host and User-Agent.
        guard: opens the connection.

    Raises:
        DownloadError: or a subclass of it, see `AddressGuard.connect_tcp` and `Connection.start_tls`.
        httpcore2.NetworkError: the connection failed.
        httpcore2.TimeoutException: the server did not answer in time.
        httpcore2.RemoteProtocolError: the answer is not HTTP, or its headers are too many or too large.
    """
    requested, host = request_to(url)
    is_encrypted = requested.scheme == b"https"
    timeouts_s = {"connect": CONNECT_TIMEOUT_S, "write": READ_TIMEOUT_S, "read": READ_TIMEOUT_S}
    async with (
        httpcore2.AsyncConnectionPool(
            ssl_context=await in_own_thread(_trusting) if is_encrypted else None, network_backend=guard
        ) as pool,
        pool.stream(
            "GET",
            requested,
            headers=[("Host", host), ("User-Agent", USER_AGENT), *headers.items()],
            extensions={"timeout": timeouts_s},
        ) as response,
        aclosing(response.aiter_stream()) as parsed,
    ):
        head = HttpResponse(response.status, _read_headers(response.headers), parsed)
        if head.length_bytes is None:
            yield head
            return
        connection = response.extensions["network_stream"]
        assert isinstance(connection, Connection)  # of the guard
        async with aclosing(_unparsed(parsed, head.length_bytes, connection)) as body:
            yield replace(head, body=body)


async def _unparsed(
    parsed: AsyncGenerator[bytes], length_bytes: int, connection: Connection
) -> AsyncGenerator[bytes | memoryview]:
    """Yield a body of known length: what came with its head from h11, and the rest from the connection itself.

    h11 and httpcore copy every byte four times: with the allocator's settings of the Dockerfile, a gigabyte took half
    as much processor time again.

    Raises:
        httpcore2.RemoteProtocolError: the body ends early.
    """
    left_bytes = length_bytes
    async for first in parsed:  # all that h11 has: it keeps nothing back
        yield first
        left_bytes -= len(first)
        break
    while left_bytes:
        part = (await connection.receive(READ_TIMEOUT_S))[:left_bytes]
        if not part:
            raise httpcore2.RemoteProtocolError("the body ends early")
        yield part
        left_bytes -= len(part)


def _trusting() -> ssl.SSLContext:
    """Trust the authorities in SSL_CERT_FILE, which may name a private one, or the system's, or else Mozilla's.

    Blocks for up to 60 ms.
    """
    return ssl.create_default_context(cafile=ssl.get_default_verify_paths().cafile or certifi.where())


def _read_headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    if len(raw) > MAX_HEADERS or sum(len(name) + len(value) for name, value in raw) > MAX_HEADER_BYTES:
        raise httpcore2.RemoteProtocolError("too many headers")
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
