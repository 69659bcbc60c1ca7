"""Refuses to connect to addresses that are not public.

The check is part of connecting and applies to the resolved addresses. Checking a host name earlier does not protect,
because the name can resolve to another address a moment later.
"""

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Sequence

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from errors import DownloadError, UrlBlocked, UrlInvalid

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# `ipaddress.is_global` differs between Python versions: some call addresses of these networks global.
NOT_PUBLIC_IPV4 = [
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
PUBLIC_PORTS = frozenset({80, 443, 8000, 8080, 8443})


def is_public(address: IpAddress) -> bool:
    """Whether an address belongs to the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in NOT_PUBLIC_IPV4)
    return address in PUBLIC_IPV6 and not any(address in network for network in NOT_PUBLIC_IPV6)


class AddressGuard:
    """Opens connections, one at a time, to public addresses on PUBLIC_PORTS and to allowed ones on any port.

    Args:
        allow_private: host names, addresses and networks that may be reached although they are not public.

    Attributes:
        aborted: set by `abort`.
    """

    def __init__(self, allow_private: Sequence[str]) -> None:
        networks = [entry for entry in allow_private if _is_network(entry)]
        self._allowed_networks = [ipaddress.ip_network(entry) for entry in networks]
        self._allowed_hosts = set(allow_private) - set(networks)
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self.aborted = threading.Event()

    def connect(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        """Connect to the first address of a host that accepts; the caller closes the socket.

        Raises:
            UrlInvalid: the host name is not valid.
            UrlBlocked: one of the host's addresses, or the port, is neither public nor allowed.
            DownloadError: the host name does not exist.
            OSError: no address accepted the connection, or the guard was aborted.
        """
        answers = _resolve(host, port)
        self._check(host, port, {ipaddress.ip_address(str(target[0]).partition("%")[0]) for *_, target in answers})
        failure: OSError = ConnectionError("the name has no address")
        for family, kind, protocol, _, target in answers:
            opened = socket.socket(family, kind, protocol)
            try:
                self._remember(opened)
                opened.settimeout(timeout_s)
                opened.connect(target)
            except OSError as exc:
                opened.close()
                failure = exc
            else:
                return opened
        raise failure

    def abort(self) -> None:
        """Make the current connect, wait or read fail at once, and every later connect; callable from any thread."""
        with self._lock:
            self.aborted.set()
            if self._connection:
                with contextlib.suppress(OSError):  # not connected yet, or already disconnected
                    self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the guard's copy of the last connection; `connect` may be called again."""
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None

    def _check(self, host: str, port: int, addresses: set[IpAddress]) -> None:
        if host.lower() in self._allowed_hosts:
            return
        others = [address for address in addresses if not any(address in network for network in self._allowed_networks)]
        if not all(map(is_public, others)):
            raise UrlBlocked("The source's address is not public, and DOWNLOAD_ALLOW_PRIVATE does not list it.")
        if others and port not in PUBLIC_PORTS:
            raise UrlBlocked(f"The source's port must be one of {', '.join(map(str, sorted(PUBLIC_PORTS)))}.")

    def _remember(self, opened: socket.socket) -> None:
        """Keep a duplicate of a socket for `abort` to shut down."""
        self.close()
        with self._lock:
            if self.aborted.is_set():
                raise ConnectionAbortedError("aborted")
            self._connection = opened.dup()  # wrapping in TLS detaches the descriptor from the original socket


class _Session(requests.Session):
    """Does not follow redirects, because requests would read their bodies, however long, before returning them."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002  # the name is part of requests' interface
        return None


class _Adapter(HTTPAdapter):
    """Uses other pool classes than urllib3's own."""

    def __init__(self, pool_classes: dict[str, type[HTTPConnectionPool]]) -> None:
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = pool_classes


def guarded_session(guard: AddressGuard) -> requests.Session:
    """Return a session that opens every connection through the guard and ignores proxies and netrc."""

    class _Connection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return guard.connect(self.host, self.port, self.timeout)

    class _TlsConnection(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return guard.connect(self.host, self.port, self.timeout)

    class _Pool(HTTPConnectionPool):
        ConnectionCls = _Connection

    class _TlsPool(HTTPSConnectionPool):
        ConnectionCls = _TlsConnection

    session = _Session()
    session.trust_env = False
    # SSL_CERT_FILE may name a private certificate authority; without it requests uses its own list.
    session.verify = ssl.get_default_verify_paths().cafile or True
    adapter = _Adapter({"http": _Pool, "https": _TlsPool})
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _resolve(host: str, port: int) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    """Return what getaddrinfo returns.

    Raises:
        UrlInvalid: the host name is not valid.
        DownloadError: the host name does not exist.
        socket.gaierror: the name server failed temporarily.
    """
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError as exc:
        raise UrlInvalid("The source's host name is not a valid one.") from exc
    except socket.gaierror as exc:
        if exc.errno == socket.EAI_AGAIN:
            raise
        raise DownloadError("The source's host name does not exist.") from exc


def _is_network(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry)
    except ValueError:
        return False
    return True
