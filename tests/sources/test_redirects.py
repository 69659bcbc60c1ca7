"""Which redirects and certificates a download accepts, and which settings of the machine it ignores."""

from collections.abc import Callable
from pathlib import Path

import pytest

from certificates import self_signed
from config import Settings
from download import download
from errors import DownloadError
from media_server import Exchange, MediaServer, status, whole
from sources import http

FILM = b"film" * 1000
SENT_AS_GIVEN = [
    "/a%2Fb%2fc.mp4?X-Amz-Signature=%2B%2b",
    "/%41%7e%7E~A.mp4",
    "/a/./b/../c/%2e/%2E%2e/film.mp4",
    "/.",
    "/..",
    "/a//b///film.mp4",
    "/film.mp4?",
    "/film.mp4??a=?",
    "/film.mp4?a=1&a=2&&b&c=&=d",
    "/film.mp4?a=b+c%20d&e=/./../f//g",
    "/a;v=1/film.mp4;type=x?b='(c)*!$,:@",
    "/100%.mp4?%zz=%",
    '/"film"<1>^`{|}[].mp4?["a"]={b|c}',
    "/film.mp4...",
    "/%D1%84%D0%B8%D0%BB%d1%8C%d0%bc.mp4",
    "/A/b/FILM.Mp4?Expires=9999999999&Signature=aB%2Fc%3D",
]
"""What HTTP libraries like to normalise."""


pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a self-signed certificate for a host name."""
    return lambda name: self_signed(name, tmp_path / "certificate.pem")


async def fetch(url: str, directory: Path) -> bytes:
    video = await download(url, directory, Settings(download_allow_private="127.0.0.1,localhost"))
    return video.path.read_bytes()


async def failure_of(url: str, directory: Path) -> str:
    with pytest.raises(DownloadError) as failure:
        await fetch(url, directory)
    return str(failure.value)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(code, server, tmp_path):
    target = server.answer(whole(FILM))
    assert await fetch(server.answer(status(code, Location=target)), tmp_path) == FILM


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("film.mp4?signature=%2f", "/0/film.mp4?signature=%2f"),
        ("../1/./film.mp4", "/1/film.mp4"),
        ("../../../film.mp4", "/film.mp4"),
        ("./", "/0/"),
        ("..", "/"),
        ("a//b/film.mp4", "/0/a//b/film.mp4"),
        ("/film.mp4#chapter", "/film.mp4"),
        ("my film.mp4", "/0/my%20film.mp4"),
        ("f\xc3\xb8lm.mp4", "/0/f%C3%B8lm.mp4"),
        ("f\xf8lm.mp4", "/0/f%F8lm.mp4"),
        ("film%20.mp4", "/0/film%20.mp4"),
        ("film.mp4?", "/0/film.mp4?"),
        ("?part=2", "/0/video.mp4?part=2"),
        ("?", "/0/video.mp4?"),
        ("#chapter", "/0/video.mp4"),
        *((target, target) for target in SENT_AS_GIVEN),
        *(("{origin}" + target, target) for target in SENT_AS_GIVEN),
    ],
)
async def test_a_location_header_is_resolved_and_escaped_and_otherwise_sent_as_given(location, path, server, tmp_path):
    first = status(302, Location=location.replace("{origin}", server.origin))
    await failure_of(server.answer(first, status(410)), tmp_path)
    assert server.targets[1] == path


@pytest.mark.parametrize("target", SENT_AS_GIVEN)
async def test_path_and_query_are_sent_byte_for_byte_as_given(target, server, tmp_path):
    await failure_of(f"{server.origin}{target}#chapter", tmp_path)
    assert server.targets == [target]


@pytest.mark.parametrize(
    ("end", "target"),
    [
        ("", "/"),
        ("?", "/?"),
        ("?a=b", "/?a=b"),
        ("#part", "/"),
        ("/føлм🎬.mp4?ø=ö", "/f%C3%B8%D0%BB%D0%BC%F0%9F%8E%AC.mp4?%C3%B8=%C3%B6"),
    ],
)
async def test_what_http_does_not_allow_is_added_or_escaped(end, target, server, tmp_path):
    await failure_of(server.origin + end, tmp_path)
    assert server.targets == [target]


@pytest.mark.parametrize("num_redirects", [http.MAX_REDIRECTS, http.MAX_REDIRECTS + 1])
async def test_redirects_are_followed_up_to_the_limit(num_redirects, server, tmp_path):
    url = server.answer(whole(FILM))
    for _ in range(num_redirects):
        url = server.answer(status(302, Location=url))
    if num_redirects <= http.MAX_REDIRECTS:
        assert await fetch(url, tmp_path) == FILM
    else:
        assert "DOWNLOAD_FAILED: The source redirects more than" in await failure_of(url, tmp_path)


async def test_a_redirect_loop_ends_at_the_limit(server, tmp_path):
    assert "DOWNLOAD_FAILED" in await failure_of(server.answer(status(302, Location="video.mp4")), tmp_path)
    assert len(server.requests) == http.MAX_REDIRECTS + 1


async def test_a_redirect_without_a_location_is_an_http_error(server, tmp_path):
    assert "SOURCE_HTTP_ERROR" in await failure_of(server.answer(status(302)), tmp_path)
    assert len(server.requests) == 1


async def test_the_body_of_a_redirect_is_not_read(server, tmp_path):
    target = server.answer(whole(FILM))

    def endless(exchange: Exchange) -> None:
        exchange.start(302, Location=target)
        while True:
            exchange.wfile.write(bytes(100_000))

    assert await fetch(server.answer(endless), tmp_path) == FILM


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://127.0.0.2:{port}/", "URL_BLOCKED"),
        ("//127.0.0.2:{port}/", "URL_BLOCKED"),
        ("http://2130706434:{port}/", "URL_BLOCKED"),
        ("http://169.254.169.254/", "URL_BLOCKED"),
        ("http://[::1]:{port}/", "URL_BLOCKED"),
        ("file:///etc/passwd", "URL_INVALID"),
        ("ftp://127.0.0.1:{port}/", "URL_INVALID"),
        ("data:video/mp4;base64,AAAA", "URL_INVALID"),
        ("http://user:pw@127.0.0.1:{port}/", "URL_INVALID"),
        ("http://127.0.0.1:{port}\\@8.8.8.8/", "URL_INVALID"),
        ("http://127.0.0.1:0/", "URL_INVALID"),
        ("http://[::1", "URL_INVALID"),
    ],
)
async def test_a_redirect_target_is_checked_like_the_first_url(location, code, server, tmp_path):
    url = server.answer(status(302, Location=location.format(port=server.port)))
    assert (await failure_of(url, tmp_path)).startswith(code)
    assert server.num_connections == 1


async def test_a_trusted_certificate_for_the_host_name_is_accepted(certificate, monkeypatch, tmp_path):
    path = certificate("localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with MediaServer(path) as server:
        assert await fetch(server.answer(whole(FILM)), tmp_path) == FILM


@pytest.mark.parametrize(("name", "trusted"), [("localhost", False), ("media.example", True)])
async def test_an_untrusted_certificate_or_one_for_another_name_is_refused_without_a_retry(
    name, trusted, certificate, monkeypatch, tmp_path
):
    path = certificate(name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with MediaServer(path) as server:
        assert "certificate is not valid" in await failure_of(server.answer(whole(FILM)), tmp_path)
        assert server.num_connections == 1
        assert server.requests == []


async def test_a_redirect_from_https_to_http_is_refused(server, certificate, monkeypatch, tmp_path):
    path = certificate("localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with MediaServer(path) as encrypted:
        url = encrypted.answer(status(302, Location=server.answer(whole(FILM))))
        assert "URL_INVALID: The source redirects from https to http" in await failure_of(url, tmp_path)
        assert server.num_connections == 0
        upgraded = server.answer(status(302, Location=encrypted.answer(whole(FILM))))
        assert await fetch(upgraded, tmp_path) == FILM


async def test_proxies_netrc_and_cookies_are_ignored(server, monkeypatch, tmp_path):
    with MediaServer() as proxy:
        for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.origin)
        (netrc := tmp_path / "netrc").write_text("machine 127.0.0.1 login name password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        target = server.answer(whole(FILM))
        assert await fetch(server.answer(status(302, Location=target, Set_Cookie="a=b")), tmp_path) == FILM
        assert proxy.num_connections == 0
    assert {"Authorization", "Cookie"}.isdisjoint(server.requests[1].keys())
