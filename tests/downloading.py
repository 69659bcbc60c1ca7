"""A download from a server on this machine, and the connections that it holds."""

from pathlib import Path
from typing import Any

import psutil

from config import Settings
from download import download
from records import LocalVideo


async def fetch(url: str, directory: Path, **settings: Any) -> LocalVideo:
    """Download with addresses of this machine allowed."""
    return await download(url, directory, Settings(download_allow_private="127.0.0.1,localhost", **settings))


def num_connections_to(url: str) -> int:
    """How many connections this process has to the port of a URL."""
    port = int(url.split(":")[2].partition("/")[0])
    sockets = psutil.Process().net_connections("tcp")
    return sum(1 for opened in sockets if opened.fd >= 0 and opened.raddr and opened.raddr.port == port)
