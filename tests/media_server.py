"""A real HTTP server on loopback that serves files, or whatever a test makes it answer.

with MediaServer() as server:
    url = server.serve(path)
"""

import re
import socket
import ssl
import threading
from collections.abc import Callable
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SEND_BYTES = 2**20


class Exchange(BaseHTTPRequestHandler):
    """One request, and what is written as its answer; the connection closes after it."""

    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:  # the name that http.server calls
        self.close_connection = True
        media = self.server.media
        media.requests.append(self.headers)
        media.targets.append(self.requestline.split(" ")[1])
        route = media.routes.get(self.path.partition("?")[0])
        if route is None:
            self.reply(HTTPStatus.NOT_FOUND)
        elif len(route) > 1:
            route.pop(0)(self)
        else:
            route[0](self)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Send a whole answer; header names are written with underscores, and Content-Length comes by itself."""
        self.start(status, **{"Content_Length": str(len(body)), **headers})
        self.wfile.write(body)

    def start(self, status: int, **headers: str) -> None:
        """Send the status line and these headers alone."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def send(self, body: bytes, **headers: str) -> None:
        """Send a successful answer whose headers are these alone."""
        self.start(HTTPStatus.OK, **headers)
        self.wfile.write(body)

    def range_start(self) -> int | None:
        """The offset from which the request wants the rest of the file."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(asked[1]) if asked else None

    def range_within(self, size_bytes: int) -> tuple[int, int] | None:
        """The bytes [first, stop) of a file that the request asks for, if it does not ask for all."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        return (int(asked[1]), min(int(asked[2] or size_bytes) + 1, size_bytes)) if asked else None

    def reset(self) -> None:
        """Drop the connection as a crashed server does, without an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()

    def drip(self, part: bytes) -> None:
        """Send a part again and again, slowly, until the client or the server goes."""
        while not self.server.media.closing.wait(0.01):
            self.wfile.write(part)

    def log_message(self, *_: Any) -> None:
        pass


Answer = Callable[[Exchange], object]


class MediaServer:
    """Listens from construction to the end of its context.

    Attributes:
        requests: the headers of each request.
        targets: the target of each request, as it was sent.
        sent_bytes: of files, without headers.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        """With a certificate (PEM, its key in the same file) it speaks https under the name localhost."""
        self.requests: list[Message] = []
        self.targets: list[str] = []
        self.sent_bytes = 0
        self.num_connections = 0
        self.routes: dict[str, list[Answer]] = {}
        self.closing = threading.Event()
        self._server = _Server(self)
        self.port: int = self._server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.tls = context
            self.origin = f"https://localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self, path: Path) -> str:
        """Serve a file, whole or by Range; its URL."""
        return self.answer(lambda exchange: _send_file(exchange, path), name=path.name)

    def answer(self, *answers: Answer, name: str = "video.mp4") -> str:
        """Answer one request after the other, the last way for good; the URL."""
        route = f"/{len(self.routes)}/{name}"
        self.routes[route] = list(answers)
        return self.origin + route


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    tls: ssl.SSLContext | None = None

    def __init__(self, media: MediaServer) -> None:
        self.media = media
        super().__init__(("127.0.0.1", 0), Exchange)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.media.num_connections += 1
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        with self.tls.wrap_socket(request, server_side=True) as encrypted:  # in the request's own thread
            super().finish_request(encrypted, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is what many tests are about."""


def whole(content: bytes, **headers: str) -> Answer:
    """Send all of it, its length announced."""
    return lambda exchange: exchange.reply(HTTPStatus.OK, content, **headers)


def cut(content: bytes, after_bytes: int, **headers: str) -> Answer:
    """Announce all of it, but end the connection early."""
    return lambda exchange: exchange.send(content[:after_bytes], Content_Length=str(len(content)), **headers)


def rest(content: bytes, **headers: str) -> Answer:
    """Send what a Range asks for, and the ETag of its If-Range; the headers may contradict that."""

    def answer(exchange: Exchange) -> None:
        first = exchange.range_start()
        span = f"bytes {first}-{len(content) - 1}/{len(content)}"
        given = {"Content_Range": span, "ETag": exchange.headers["If-Range"]}
        exchange.reply(HTTPStatus.PARTIAL_CONTENT, content[first:], **{**given, **headers})

    return answer


def part(content: bytes, etag: str = '"v1"', **headers: str) -> Answer:
    """Send the part that a Range asks for, without a look at If-Range; the headers may contradict it."""

    def answer(exchange: Exchange) -> None:
        first, stop = exchange.range_within(len(content)) or (0, len(content))
        given = {"Content_Range": f"bytes {first}-{stop - 1}/{len(content)}", "ETag": etag}
        exchange.reply(HTTPStatus.PARTIAL_CONTENT, content[first:stop], **{**given, **headers})

    return answer


def chunked(*parts: bytes, end: bytes = b"0\r\n\r\n", **headers: str) -> Answer:
    """Send parts as HTTP chunks, and `end` for the last one."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + end
    return lambda exchange: exchange.send(body, Transfer_Encoding="chunked", **headers)


def unannounced(body: bytes, **headers: str) -> Answer:
    """Send a body that ends where the connection does."""
    return lambda exchange: exchange.send(body, **headers)


def status(code: int, **headers: str) -> Answer:
    """Refuse."""
    return lambda exchange: exchange.reply(code, b"no film", **headers)


def raw(text: bytes) -> Answer:
    """Send these bytes, be they HTTP or not."""
    return lambda exchange: exchange.wfile.write(text)


def dripping(head: bytes, part: bytes) -> Answer:
    """Send the head at once, then the part again and again."""

    def answer(exchange: Exchange) -> None:
        exchange.wfile.write(head)
        exchange.drip(part)

    return answer


def _send_file(exchange: Exchange, path: Path) -> None:
    size_bytes = path.stat().st_size
    etag = f'"{path.stat().st_mtime_ns:x}-{size_bytes:x}"'
    asked = exchange.range_within(size_bytes) if exchange.headers.get("If-Range", etag) == etag else None
    first, stop = asked or (0, size_bytes)
    headers = {"ETag": etag, "Accept_Ranges": "bytes", "Content_Length": str(stop - first)}
    if asked is None:
        exchange.start(HTTPStatus.OK, **headers)
    else:
        headers["Content_Range"] = f"bytes {first}-{stop - 1}/{size_bytes}"
        exchange.start(HTTPStatus.PARTIAL_CONTENT, **headers)
    with path.open("rb") as file:
        file.seek(first)
        while part := file.read(min(stop - first, SEND_BYTES)):
            exchange.wfile.write(part)
            exchange.server.media.sent_bytes += len(part)
            first += len(part)
