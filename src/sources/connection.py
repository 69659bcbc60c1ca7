"""A TCP connection, encrypted on request, in the form that httpcore reads and writes."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import httpcore2

from errors import DownloadError

READ_BYTES = 2**19
"""How much is read from the network at a time, at most."""


class Connection(httpcore2.AsyncNetworkStream, asyncio.BufferedProtocol):
    """A connection that receives one part at a time into one buffer; what comes after it waits until that is read.

    asyncio's streams copy each byte twice, and in parts of at most 256 KiB; httpcore's back end on anyio decrypts one
    TLS record of 16 KiB at a time. A request is small, so sending it waits for nothing.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._part = self._buffer[:0]
        self._has_ended = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        """Set while there is something to return from `read`."""

    @classmethod
    async def to(cls, address: str, port: int, timeout_s: float | None) -> Self:
        """Connect to a numeric address.

        Raises:
            httpcore2.ConnectError: the connection was refused or failed.
            httpcore2.ConnectTimeout: it was not made in time.
        """
        with _mapped(httpcore2.ConnectError, httpcore2.ConnectTimeout):
            async with asyncio.timeout(timeout_s):
                return (await asyncio.get_running_loop().create_connection(cls, address, port))[1]

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109  # by name
        """Return what has arrived, at least one byte; nothing at the end.

        That can be more than max_bytes: httpcore asks for 64 KiB, takes any number, and is faster with larger parts.
        """
        return bytes(await self.receive(timeout))

    async def receive(self, timeout_s: float | None) -> memoryview:
        """Return what `read` does, without a copy: it is valid until the next call."""
        with _mapped(httpcore2.ReadError, httpcore2.ReadTimeout):
            if not self._news.is_set():
                self._transport.resume_reading()
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            if self._failure and not self._part:
                raise self._failure
        part, self._part = self._part, self._part[:0]
        if not self._has_ended:
            self._news.clear()
        return part

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109  # by name
        """Send all of a buffer, without waiting until the network has taken it."""
        self._transport.write(buffer)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # passed by name
    ) -> Self:
        """Encrypt the connection from here on.

        Raises:
            DownloadError: the certificate is not valid for the host.
        """
        try:
            with _mapped(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                async with asyncio.timeout(timeout):
                    encrypted = await asyncio.get_running_loop().start_tls(
                        self._transport, self, ssl_context, server_hostname=server_hostname
                    )
                    assert encrypted
                    self._transport = encrypted
        except BaseException as exc:
            await self.aclose()  # httpcore leaves it open
            if isinstance(exc.__cause__, ssl.SSLCertVerificationError):
                raise DownloadError("The source's TLS certificate is not valid.") from exc
            raise
        return self

    async def aclose(self) -> None:
        """Close the connection at once, without waiting for the other side."""
        self._transport.abort()
        await asyncio.sleep(0)  # asyncio closes the socket in the next turn of its loop

    def get_extra_info(self, info: str) -> object:
        """Return what asyncio knows under a name, such as `ssl_object`."""
        return self._transport.get_extra_info(info)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.BaseProtocol."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's own guess
        """See asyncio.BufferedProtocol."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See asyncio.BufferedProtocol."""
        self._part = self._buffer[:nbytes]
        self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> None:
        """See asyncio.BufferedProtocol."""
        self._has_ended = True
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.BaseProtocol."""
        self._failure = exc
        self.eof_received()


@contextmanager
def _mapped(error: type[Exception], too_late: type[Exception]) -> Iterator[None]:
    """Raise httpcore's errors instead of the system's."""
    try:
        yield
    except TimeoutError as exc:
        raise too_late from exc
    except OSError as exc:
        raise error from exc
