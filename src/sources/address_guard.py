"""Refuses, at the moment of connecting, every address that is not public.

Checking a name before the request does not hold: it may resolve to something else a moment later.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from errors import DownloadError, UrlBlocked

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# `is_global` differs between Python versions; these are the networks that some of them let through.
NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
    )
]  # fmt: skip
PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
NOT_PUBLIC_IPV6 = [
    ipaddress.ip_network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]


def is_public(address: IpAddress) -> bool:
    """Whether a packet to this address leaves for the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in NOT_PUBLIC)
    return address in PUBLIC_IPV6 and not any(address in network for network in NOT_PUBLIC_IPV6)


class AddressGuard:
    """Opens connections to public addresses, and to the private ones that were allowed.

    Every socket it opens is closed by `abort`, from any thread.
    """

    def __init__(self, allow_private: Sequence[str]) -> None:
        networks = [entry for entry in allow_private if _is_network(entry)]
        self._allowed_networks = [ipaddress.ip_network(entry) for entry in networks]
        self._allowed_hosts = set(allow_private) - set(networks)
        self._sockets: list[socket.socket] = []
        self._aborted = False

    def connect(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        """Connect to the first address of a host that answers.

        Raises:
            UrlBlocked: any of the host's addresses is not public and not allowed.
            DownloadError: the name does not resolve.
            OSError: no address answered.
        """
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as exc:
            raise DownloadError("The host name of the source does not resolve.") from exc
        if host.lower().rstrip(".") not in self._allowed_hosts:
            for *_, (address, *_) in answers:
                self._check(ipaddress.ip_address(str(address).partition("%")[0]))
        failure: OSError = ConnectionError("no address")
        for family, kind, protocol, _, target in answers:
            opened = socket.socket(family, kind, protocol)
            try:
                opened.settimeout(timeout_s)
                opened.connect(target)
            except OSError as exc:
                opened.close()
                failure = exc
                continue
            self._sockets.append(opened)
            if self._aborted:
                self.abort()
            return opened
        raise failure

    def abort(self) -> None:
        """Close every connection, now and later: a thread that reads from one gets an error."""
        self._aborted = True
        for opened in self._sockets:
            try:
                opened.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already

    def _check(self, address: IpAddress) -> None:
        if not is_public(address) and not any(address in network for network in self._allowed_networks):
            raise UrlBlocked("The source's address is not public, and DOWNLOAD_ALLOW_PRIVATE does not list it.")


def guarded_session(guard: AddressGuard) -> requests.Session:
    """Return a session whose every connection goes through the guard; it ignores proxies and netrc."""

    class _Connection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return guard.connect(self._dns_host, self.port, self.timeout)

    class _TlsConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return guard.connect(self._dns_host, self.port, self.timeout)

    class _Pool(HTTPConnectionPool):
        ConnectionCls = _Connection

    class _TlsPool(HTTPSConnectionPool):
        ConnectionCls = _TlsConnection

    class _Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **options)
            self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    session = requests.Session()
    session.trust_env = False
    session.mount("http://", _Adapter())
    session.mount("https://", _Adapter())
    session.get_redirect_target = _no_redirect  # type: ignore[method-assign]  # requests would read the whole body
    return session


_no_redirect: Callable[[requests.Response], None] = lambda response: None  # noqa: E731


def _is_network(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry)
    except ValueError:
        return False
    return True
