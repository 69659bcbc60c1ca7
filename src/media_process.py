"""The only file that starts ffmpeg and the media child processes: environment, timeouts, stderr, killing."""

import asyncio
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from errors import MediaError, MediaTimeout

log = logging.getLogger(__name__)

STDERR_TAIL_BYTES = 2048
PIPE_BYTES = 2**20
"""The largest pipe an unprivileged process may ask for: fewer turns between decoder and reader."""


def program(module: str, *arguments: str) -> list[str]:
    """Return the argv of a Python program of this worker, such as `media.scan`."""
    return [sys.executable, "-s", "-m", module, *arguments]


class MediaProcess:
    """One child process whose stdout is read with a limit on waiting; leaving the context kills its group.

    It gets no secret of the worker: of the environment it sees PATH alone.
    """

    def __init__(self, argv: Sequence[str], stall_timeout_s: float) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pipesize=PIPE_BYTES,
            bufsize=0,
            cwd=Path(__file__).parent,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
        assert self._process.stdout and self._process.stderr
        self._stdout = self._process.stdout
        self._stderr_tail = b""
        self._stderr_reader = threading.Thread(target=self._drain_stderr, daemon=True)
        self._stderr_reader.start()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def read_into(self, buffer: memoryview) -> bool:
        """Fill the buffer from stdout, blocking; False at the end of the output.

        Raises:
            MediaTimeout: nothing came for stall_timeout_s.
            MediaError: the output ended inside the buffer, or the process failed.
        """
        filled = 0
        while filled < len(buffer):
            if not self._selector.select(self._stall_timeout_s):
                raise MediaTimeout(f"The decoder gave nothing for {self._stall_timeout_s:g} s.")
            count = self._stdout.readinto(buffer[filled:])  # type: ignore[attr-defined]  # a raw FileIO: bufsize=0
            if not count:
                self._raise_if_failed()
                if filled:
                    raise MediaError("The decoder stopped in the middle of a picture.")
                return False
            filled += count
        return True

    def read_all(self, timeout_s: float) -> bytes:
        """Return the whole output of a process that ends by itself, blocking.

        Raises:
            MediaTimeout: it ran longer than timeout_s.
            MediaError: it failed.
        """
        deadline_s = time.monotonic() + timeout_s
        parts = []
        while True:
            if not self._selector.select(max(0.0, deadline_s - time.monotonic())):
                raise MediaTimeout(f"Reading the video took longer than {timeout_s:g} s.")
            part = self._stdout.read(PIPE_BYTES)
            if not part:
                self._raise_if_failed()
                return b"".join(parts)
            parts.append(part)

    def kill(self) -> None:
        """Kill the process and all it started, and wait for it; safe to call again."""
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it ended by itself just now
            self._process.wait()
        self._stderr_reader.join()

    def _raise_if_failed(self) -> None:
        if self._process.wait() == 0:
            return
        self._stderr_reader.join()
        log.warning(
            "media process ended with %s: %s",
            self._process.returncode,
            self._stderr_tail.decode("utf-8", "replace").strip(),
        )
        raise MediaError("The video could not be decoded.")

    def _drain_stderr(self) -> None:
        assert self._process.stderr
        while part := self._process.stderr.read(4096):
            self._stderr_tail = (self._stderr_tail + part)[-STDERR_TAIL_BYTES:]


async def run(argv: Sequence[str], timeout_s: float) -> bytes:
    """Run a process to its end and return its output; a cancelled caller kills it.

    Raises:
        MediaTimeout: it ran longer than timeout_s.
        MediaError: it failed.
    """
    with MediaProcess(argv, timeout_s) as process:
        return await asyncio.to_thread(process.read_all, timeout_s)
