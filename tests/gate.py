"""A platform with a worker whose jobs a test can hold inside their handler: `gated_worker.py`."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from runpod_stand_in import RunPodStandIn

TIMEOUT_S = 15.0
WORKER_COMMAND = [sys.executable, str(Path(__file__).with_name("gated_worker.py"))]
WORKER_ENVIRONMENT = {"RUNPOD_LOG_LEVEL": "ERROR"}


class Gate:
    """Where jobs wait in their handler. Each job that arrives is one connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_S)
        self.port: int = self._listener.getsockname()[1]
        self._inside: list[socket.socket] = []

    def wait_for_job(self) -> socket.socket:
        inside, _ = self._listener.accept()
        inside.settimeout(TIMEOUT_S)
        assert inside.recv(6) == b"inside"
        self._inside.append(inside)
        return inside

    def open(self) -> None:
        """Let out every job that has arrived."""
        for inside in self._inside:
            inside.close()
        self._inside.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        self._listener.close()


@contextmanager
def platform_with_worker() -> Iterator[RunPodStandIn]:
    """The platform with one worker attached that runs three jobs at once.

    Three and not two: the SDK counts a job that it has not begun twice, so that a worker for two takes one a second.
    """
    with (
        RunPodStandIn() as platform,
        platform.worker_process(WORKER_COMMAND, environment=WORKER_ENVIRONMENT, grace_s=0.0),
    ):
        platform.wait_for_take()
        yield platform
