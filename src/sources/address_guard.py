"""Refuses to connect to addresses that are not public.

The check is part of connecting and applies to the resolved addresses. Checking a host name earlier does not protect,
because the name can resolve to another address a moment later.
"""

import ipaddress
import socket
from collections.abc import Iterable, Sequence

import httpcore2

from errors import DownloadError, UrlBlocked, UrlInvalid
from own_thread import in_own_thread
from sources.connection import Connection

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


class AddressGuard(httpcore2.AsyncNetworkBackend):
    """Opens httpcore's connections: to public addresses on PUBLIC_PORTS, and to allowed ones on any port.

    Args:
        allow_private: host names, addresses and networks that may be reached although they are not public.
    """

    def __init__(self, allow_private: Sequence[str]) -> None:
        networks = [entry for entry in allow_private if _is_network(entry)]
        self._allowed_networks = [ipaddress.ip_network(entry) for entry in networks]
        self._allowed_hosts = set(allow_private) - set(networks)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # httpcore passes it by name
        local_address: str | None = None,  # noqa: ARG002  # as timeout
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002  # as timeout
    ) -> Connection:
        """Connect to the first address of a host that accepts. The lookup has no timeout of its own.

        Raises:
            UrlInvalid: the host name is not valid.
            UrlBlocked: one of the host's addresses, or the port, is neither public nor allowed.
            DownloadError: the host name does not exist.
            httpcore2.ConnectError: no address accepted the connection, or the name server failed temporarily.
            httpcore2.ConnectTimeout: the last address did not answer in time.
        """
        addresses = await in_own_thread(lambda: _resolve(host, port))
        self._check(host, port, {ipaddress.ip_address(address.partition("%")[0]) for address in addresses})
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await Connection.to(address, port, timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                failure = exc
        raise failure

    def _check(self, host: str, port: int, addresses: set[IpAddress]) -> None:
        if host.lower() in self._allowed_hosts:
            return
        others = [address for address in addresses if not any(address in network for network in self._allowed_networks)]
        if not all(map(is_public, others)):
            raise UrlBlocked("The source's address is not public, and DOWNLOAD_ALLOW_PRIVATE does not list it.")
        if others and port not in PUBLIC_PORTS:
            raise UrlBlocked(f"The source's port must be one of {', '.join(map(str, sorted(PUBLIC_PORTS)))}.")


def _resolve(host: str, port: int) -> list[str]:
    """Look up a host's addresses, without repetition, in the order in which they should be tried.

    Raises:
        UrlInvalid: the host name is not valid.
        DownloadError: the host name does not exist.
        httpcore2.ConnectError: the name server failed temporarily.
    """
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as exc:
        raise UrlInvalid("The source's host name is not a valid one.") from exc
    except socket.gaierror as exc:
        if exc.errno == socket.EAI_AGAIN:
            raise httpcore2.ConnectError from exc
        raise DownloadError("The source's host name does not exist.") from exc
    except OSError as exc:  # too many open files, for example
        raise httpcore2.ConnectError from exc
    return list(dict.fromkeys(str(target[0]) for *_, target in answers))


def _is_network(entry: str) -> bool:
    try:
        ipaddress.ip_network(entry)
    except ValueError:
        return False
    return True
