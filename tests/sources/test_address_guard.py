"""Which addresses a download may connect to. Name resolution and routing are faked; sockets and servers are real."""

import json
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import Settings
from download import download
from errors import DownloadError, UrlBlocked
from media_server import status, whole
from sources import address_guard, http
from sources.address_guard import is_public

BAD_URLS = json.loads(Path(__file__).parents[1].joinpath("bad_urls.json").read_text())
PUBLIC = "93.184.216.34"
OTHER_PUBLIC = "2606:4700::1111"
LOOPBACK_HOSTS = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::]", "[::1]",
    "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]", "%31%32%37.0.0.1", "localhost",
]  # fmt: skip
real_connect = socket.socket.connect
real_getaddrinfo = socket.getaddrinfo


@dataclass
class Network:
    """A fake network.

    A name resolves to its next answer with each lookup, and to its last one from then on. A connection to an address
    in `routes` goes to that port on loopback; to any other address it is refused.
    """

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    routes: dict[str, int] = field(default_factory=dict)
    num_lookups: int = 0
    connected_to: list[str] = field(default_factory=list)

    def getaddrinfo(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        self.num_lookups += 1
        answers = self.names.get(host, [[host]])
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        numeric: dict[str, Any] = {"type": socket.SOCK_STREAM, "flags": socket.AI_NUMERICHOST}
        return [entry for address in addresses for entry in real_getaddrinfo(address, port, **numeric)]

    def connect(self, opened: socket.socket, target: tuple[Any, ...]) -> None:
        self.connected_to.append(target[0])
        if target[0] not in self.routes:
            raise ConnectionRefusedError
        loopback = "127.0.0.1" if opened.family == socket.AF_INET else "::ffff:127.0.0.1"
        real_connect(opened, (loopback, self.routes[target[0]]))


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()

    def connect(
        opened: socket.socket, target: tuple[Any, ...]
    ) -> None:  # a plain function, since a bound method would not get the socket
        network.connect(opened, target)

    network.names |= {
        name: [["127.0.0.1"]] for name in ("localhost", "x.localhost", "ip6-localhost", "127.0.0.1.nip.io")
    }
    network.names["metadata.google.internal"] = [["169.254.169.254"]]
    monkeypatch.setattr(socket, "getaddrinfo", network.getaddrinfo)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(http, "BACKOFF_S", 0)
    return network


def path_of(url: str) -> str:
    return url.removeprefix("http://").partition("/")[2]


async def fetch(url: str, directory: Path, *allow_private: str) -> bytes:
    video = await download(url, directory, Settings(download_allow_private=allow_private))
    return video.path.read_bytes()


@pytest.mark.parametrize("bad", BAD_URLS, ids=lambda bad: ascii(f"{bad['kind']}: {bad['url'][:40]}"))
async def test_a_bad_url_is_refused_without_a_connection(bad, network, tmp_path):
    with pytest.raises(DownloadError) as failure:
        await fetch(bad["url"], tmp_path)
    assert failure.value.code == bad["code"]
    assert network.connected_to == []


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
async def test_no_spelling_of_loopback_reaches_a_listening_port(host, server, monkeypatch, tmp_path):
    monkeypatch.setattr(address_guard, "PUBLIC_PORTS", {server.port})
    with pytest.raises(UrlBlocked):
        await fetch(f"http://{host}:{server.port}/", tmp_path)
    assert server.num_connections == 0


async def test_a_name_with_a_public_address_is_reached(network, server, tmp_path):
    url = server.answer(lambda exchange: exchange.reply(200, b"film"))
    network.names["media.example"] = [[PUBLIC]]
    network.routes[PUBLIC] = server.port
    assert await fetch(f"http://media.example/{path_of(url)}", tmp_path) == b"film"
    assert server.requests[0]["Host"] == "media.example"


@pytest.mark.parametrize("port", sorted(address_guard.PUBLIC_PORTS))
async def test_a_public_address_is_reached_on_the_usual_ports(port, network, server, tmp_path):
    url = server.answer(lambda exchange: exchange.reply(200, b"film"))
    network.routes[PUBLIC] = server.port
    assert await fetch(f"http://{PUBLIC}:{port}/{path_of(url)}", tmp_path) == b"film"


async def test_the_next_address_of_a_name_is_tried_when_one_refuses_the_connection(network, server, tmp_path):
    url = server.answer(lambda exchange: exchange.reply(200, b"film"))
    network.names["media.example"] = [["1.1.1.1", PUBLIC]]
    network.routes[PUBLIC] = server.port
    assert await fetch(f"http://media.example/{path_of(url)}", tmp_path) == b"film"
    assert network.connected_to == ["1.1.1.1", PUBLIC]


@pytest.mark.parametrize("answer", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], [PUBLIC, "::1"], [OTHER_PUBLIC, "::"]])
async def test_a_name_with_one_private_address_among_public_ones_is_refused(answer, network, tmp_path):
    network.names["mixed.example"] = [answer]
    with pytest.raises(UrlBlocked):
        await fetch("http://mixed.example/", tmp_path)
    assert network.connected_to == []


async def test_the_address_that_was_checked_is_connected_to_even_if_the_name_then_resolves_to_a_private_one(
    network, server, tmp_path
):
    url = server.answer(lambda exchange: exchange.reply(200, b"film"))
    network.names["rebind.example"] = [[PUBLIC], ["127.0.0.1"]]
    network.routes[PUBLIC] = server.port
    assert await fetch(f"http://rebind.example/{path_of(url)}", tmp_path) == b"film"
    assert network.num_lookups == 1
    assert network.connected_to == [PUBLIC]


async def test_a_name_that_resolves_to_a_private_address_on_the_second_attempt_is_refused(network, server, tmp_path):
    url = server.answer(lambda exchange: exchange.reply(503))
    network.names["rebind.example"] = [[PUBLIC], ["127.0.0.1"]]
    network.routes |= {PUBLIC: server.port, "127.0.0.1": server.port}
    with pytest.raises(UrlBlocked):
        await fetch(f"http://rebind.example/{path_of(url)}", tmp_path)
    assert network.connected_to == [PUBLIC]


async def test_a_redirect_from_a_public_address_to_a_private_one_is_refused(network, server, tmp_path):
    network.routes |= {PUBLIC: server.port, "169.254.169.254": server.port}
    url = server.answer(lambda exchange: exchange.reply(302, Location="http://169.254.169.254/latest"))
    with pytest.raises(UrlBlocked):
        await fetch(f"http://{PUBLIC}/{path_of(url)}", tmp_path)
    assert network.connected_to == [PUBLIC]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.0/8"),
        ("[::1]", "::1"),
        ("[fd00::7]", "fd00::/8"),
        ("minio", "minio"),
        ("minio", "10.0.0.0/8"),
        ("MINIO.", "Minio"),
    ],
)
async def test_an_allowed_host_or_network_is_reached_on_any_port(host, allowed, network, server, tmp_path):
    url = server.answer(lambda exchange: exchange.reply(200, b"film"))
    network.names["minio"] = [["10.0.0.9"]]
    network.routes |= dict.fromkeys(("127.0.0.1", "::1", "fd00::7", "10.0.0.9"), server.port)
    assert await fetch(f"http://{host}:9000/{path_of(url)}", tmp_path, allowed) == b"film"


@pytest.mark.parametrize(
    "url",
    [
        "http://10.1.0.1/",
        "http://169.254.169.254/",
        "http://localhost/",
        "http://[::ffff:10.0.0.9]/",
        "http://sub.minio/",
        "http://8.8.8.8:9000/",
    ],
)
async def test_no_private_address_is_reached_but_the_allowed_ones(url, network, tmp_path):
    network.names["sub.minio"] = [["10.1.0.1"]]
    with pytest.raises(UrlBlocked):
        await fetch(url, tmp_path, "10.0.0.0/24", "minio")
    assert network.connected_to == []


async def test_a_name_that_does_not_exist_is_looked_up_once(network, tmp_path):
    with pytest.raises(DownloadError, match="does not exist"):
        await fetch("http://nowhere.example/", tmp_path)
    assert network.num_lookups == 1


@pytest.mark.parametrize("errno", [socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL, socket.EAI_FAMILY])
@pytest.mark.parametrize("redirected", [False, True])
async def test_a_final_no_of_the_resolver_ends_the_download_before_and_after_a_redirect(
    errno, redirected, network, monkeypatch, server, tmp_path
):
    lookups = []

    def getaddrinfo(host: str, port: int, **options: object) -> Any:
        lookups.append(host)
        if host == "nowhere.example":
            raise socket.gaierror(errno, "no")
        return network.getaddrinfo(host, port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    network.routes[PUBLIC] = server.port
    redirect = server.answer(status(302, Location="http://nowhere.example/"))
    url = f"http://{PUBLIC}/{path_of(redirect)}" if redirected else "http://nowhere.example/"
    with pytest.raises(DownloadError, match="does not exist"):
        await fetch(url, tmp_path)
    assert lookups == [PUBLIC, "nowhere.example"][1 - redirected :]
    assert len(server.requests) == redirected


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("Media.Example", "media.example"),
        ("media.example.", "media.example"),
        ("media.example:80", "media.example"),
        ("media.example:8080", "media.example:8080"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("[2606:4700:0:0::1111]", "[2606:4700:0:0::1111]"),
    ],
)
@pytest.mark.parametrize("redirected", [False, True])
async def test_the_host_header_has_the_name_that_is_connected_to(
    authority, host, redirected, network, server, tmp_path
):
    network.names |= {key: [[PUBLIC]] for key in ("media.example", "xn--bcher-kva.example", "2606:4700:0:0::1111")}
    network.routes[PUBLIC] = server.port
    url = f"http://{authority}/{path_of(server.answer(whole(b'film')))}?a=%2f"
    if redirected:
        location = url.encode().decode("latin-1")
        url = f"http://media.example/{path_of(server.answer(status(302, Location=location)))}"
    assert await fetch(url, tmp_path) == b"film"
    assert server.requests[-1]["Host"] == host
    assert server.targets[-1].endswith("/video.mp4?a=%2f")


async def test_a_lookup_that_fails_temporarily_is_retried(network, monkeypatch, server, tmp_path):
    url = server.answer(lambda exchange: exchange.reply(200, b"film"))
    network.routes[PUBLIC] = server.port
    failures = [socket.gaierror(socket.EAI_AGAIN, "later")]

    def getaddrinfo(host: str, port: int, **options: object) -> list[tuple[Any, ...]]:
        if failures:
            raise failures.pop()
        found: list[tuple[Any, ...]] = network.getaddrinfo(host, port, **options)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert await fetch(f"http://{PUBLIC}/{path_of(url)}", tmp_path) == b"film"


@given(st.ip_addresses())
def test_no_address_counts_as_public_that_python_calls_local(address: IPv4Address | IPv6Address):
    assert not is_public(address) or (address.is_global and not address.is_multicast)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", PUBLIC, "172.32.0.1", "100.128.0.1", "2a00:1450::1"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(ip_address(address))
