"""What a source sends arrives whole and in order, however slowly it is read, encrypted or not."""

import asyncio
import random
import ssl
from collections.abc import Callable
from pathlib import Path

import httpcore2
import pytest

from certificates import self_signed
from sources.connection import READ_BYTES, Connection

SENT = random.Random(1).randbytes(5 * READ_BYTES + 7)
READ_TIMEOUT_S = 30.0


async def connected(
    answer: Callable[[asyncio.StreamWriter], None], certificate: Path | None = None
) -> tuple[asyncio.Server, Connection]:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answer(writer)

    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    connection = await Connection.to("127.0.0.1", server.sockets[0].getsockname()[1], READ_TIMEOUT_S)
    if certificate:
        await connection.start_tls(ssl.create_default_context(cafile=certificate), "localhost", READ_TIMEOUT_S)
    return server, connection


def send_all(writer: asyncio.StreamWriter) -> None:
    writer.write(SENT)
    writer.close()


async def read_slowly(connection: Connection) -> list[bytes]:
    """Read up to the end; between two parts the event loop has time to receive another one."""
    parts = []
    while part := await connection.read(1, READ_TIMEOUT_S):
        parts.append(part)
        for _ in range(20):
            await asyncio.sleep(0)
    return parts


@pytest.mark.parametrize("is_encrypted", [False, True])
async def test_what_was_sent_arrives_in_bounded_parts_and_then_nothing_for_good(
    tmp_path: Path, *, is_encrypted: bool
) -> None:
    certificate = self_signed("localhost", tmp_path / "certificate.pem") if is_encrypted else None
    server, connection = await connected(send_all, certificate)
    async with server:
        parts = await read_slowly(connection)
        assert b"".join(parts) == SENT
        assert max(map(len, parts)) <= READ_BYTES
        assert await connection.read(1, READ_TIMEOUT_S) == b""
        await connection.aclose()


async def test_a_connection_on_which_nothing_comes_fails_when_the_time_is_over_and_can_be_read_later() -> None:
    writers: list[asyncio.StreamWriter] = []
    server, connection = await connected(writers.append)
    async with server:
        with pytest.raises(httpcore2.ReadTimeout):
            await connection.read(1, 0)
        while not writers:
            await asyncio.sleep(0)
        send_all(writers[0])
        assert b"".join(await read_slowly(connection)) == SENT
        await connection.aclose()
