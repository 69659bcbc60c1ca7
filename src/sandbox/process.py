"""Starts ffmpeg and the decoder processes, reads their output with a timeout, and kills them.

No other file of the worker starts a program on a file from outside.
"""

import asyncio
import contextlib
import fcntl
import io
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from errors import MediaError, MediaTimeout
from own_thread import in_own_thread
from sandbox.wait import wait_despite_cancellation
from sandbox.wrappers import MAX_MEMORY_BYTES, wrapper_argv

log = logging.getLogger(__name__)

STDERR_TAIL_BYTES = 2048
MAX_OUTPUT_BYTES = 2**22
"""Upper bound for `read_all`. The description of a video, its usual output, has one kilobyte."""
PIPE_BYTES = 2**20
"""The largest pipe an unprivileged process may ask for; a larger pipe means fewer context switches."""
REAP_TIMEOUT_S = 5.0
"""How long a job waits for a process that it has killed. A process in an uninterruptible call of the kernel, such as a
read from a network volume that does not answer, ends when that call does, and nothing can be done about it."""


class SandboxedProcess:
    """A child process with limited resources whose stdout is read with a timeout; leaving the context kills it.

    It receives no secret of the worker: PATH is the only environment variable it sees. sandbox.wrappers limits it,
    and the kernel kills it when the thread that started it ends. Reading blocks: call it through in_own_thread, one
    read at a time. `kill` never blocks.

    Args:
        argv: the program and its arguments.
        timeout_s: the longest wait for output, or for the end of the process.
        on_gpu: whether it uses the GPU, which changes how its memory is limited.
        max_memory_bytes: the limit on its memory, see sandbox.wrappers.
        stdin: see subprocess.Popen.
    """

    def __init__(
        self,
        argv: Sequence[str],
        timeout_s: float,
        *,
        on_gpu: bool = False,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self._timeout_s = timeout_s
        self._process = subprocess.Popen(
            [*wrapper_argv(max_memory_bytes, on_gpu=on_gpu), *argv],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=Path(__file__).parents[1],
            env={"PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
        self._stdout = cast("io.FileIO", self._process.stdout)
        self._stderr = cast("io.FileIO", self._process.stderr)
        self._stderr_tail = b""
        with contextlib.suppress(OSError):  # the pipes of one user together are limited too
            fcntl.fcntl(self._stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._wake_up = os.eventfd(0)
        """Readable once the process has been killed: it ends a read that the process itself may keep waiting."""
        self._selector = selectors.DefaultSelector()
        for source in (self._stdout, self._stderr, self._wake_up):
            self._selector.register(source, selectors.EVENT_READ)
        self._reading = threading.Lock()
        self._ended = False
        self._killed = False
        self._reaped = Future[None]()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill the process, and wait until it is gone, but not for longer than REAP_TIMEOUT_S.

        Cancelling does not shorten the wait: a job that has ended has no process left.
        """
        self.kill()
        try:
            await wait_despite_cancellation(asyncio.wrap_future(self._reaped), REAP_TIMEOUT_S)
        finally:
            if not self._reaped.done():
                log.error("media process %d is still there %g s after it was killed", self.pid, REAP_TIMEOUT_S)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its process group."""
        return self._process.pid

    def read_into(self, buffer: memoryview) -> bool:
        """Fill the buffer from stdout, blocking. Return False if the output ended before the first byte.

        Raises:
            MediaTimeout: no output came for timeout_s.
            MediaError: the output ended in the middle of the buffer, or the process failed.
        """
        filled = 0
        with self._reading:
            while filled < len(buffer) and not self._ended:
                if not self._wait_for_output(time.monotonic() + self._timeout_s):
                    raise MediaTimeout(f"The decoder gave nothing for {self._timeout_s:g} s.")
                count = self._stdout.readinto(buffer[filled:])
                filled += count
                if count == 0:
                    self._wait_for_success()
        if 0 < filled < len(buffer):
            raise MediaError("The decoder stopped in the middle of a picture.")
        return filled == len(buffer)

    def read_all(self, timeout_s: float | None = None) -> bytes:
        """Wait until the process ends by itself, blocking, and return its whole output.

        Args:
            timeout_s: how long it may run; None for the process's own timeout_s.

        Raises:
            MediaTimeout: it ran longer.
            MediaError: it failed, or wrote more than MAX_OUTPUT_BYTES.
        """
        timeout_s = timeout_s or self._timeout_s
        deadline_s = time.monotonic() + timeout_s
        output = bytearray()
        with self._reading:
            while not self._ended:
                if not self._wait_for_output(deadline_s):
                    raise MediaTimeout(f"Reading the video took longer than {timeout_s:g} s.")
                part = self._stdout.read(PIPE_BYTES)
                output += part
                if len(output) > MAX_OUTPUT_BYTES:
                    raise MediaError("What was read from the video is too much.")
                if not part:
                    self._wait_for_success()
        return bytes(output)

    def kill(self) -> None:
        """Send SIGKILL to the process group and end a blocked read, without waiting. Calling it again does nothing.

        A thread waits for the process, for as long as that takes, and closes the pipes.
        """
        if self._killed:
            return
        self._killed = True
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
                os.killpg(self._process.pid, signal.SIGKILL)
        os.eventfd_write(self._wake_up, 1)
        # A daemon: a process that never ends does not keep the worker from ending.
        threading.Thread(target=self._reap, name="reap", daemon=True).start()

    def _reap(self) -> None:
        self._process.wait()
        with self._reading:  # the read that was blocked returns now; no descriptor may close while it is in use
            self._selector.close()
            if self._process.stdin:
                self._process.stdin.close()
            self._stdout.close()
            self._stderr.close()
            os.close(self._wake_up)
        self._reaped.set_result(None)

    def _wait_for_output(self, deadline_s: float) -> bool:
        """Wait until stdout is readable or has ended, and keep the tail of stderr; return False at the deadline.

        Raises:
            MediaError: the process has been killed.
        """
        while (left_s := deadline_s - time.monotonic()) > 0 and (ready := self._select(left_s)):
            if self._stderr in ready:
                self._keep_stderr()
            if self._stdout in ready:
                return True
        return False

    def _select(self, timeout_s: float) -> list[object]:
        """Return which pipes are readable.

        Raises:
            MediaError: the process has been killed.
        """
        ready: list[object] = [] if self._killed else [key.fileobj for key, _ in self._selector.select(timeout_s)]
        if self._killed:
            raise MediaError("Reading the video was stopped.")
        return ready

    def _wait_for_success(self) -> None:
        """Wait for the process to end, after its stdout has ended.

        Raises:
            MediaTimeout: it did not end within timeout_s.
            MediaError: it failed.
        """
        self._ended = True
        deadline_s = time.monotonic() + self._timeout_s
        self._selector.unregister(self._stdout)
        while self._stderr in self._selector.get_map() and self._select(max(0.0, deadline_s - time.monotonic())):
            self._keep_stderr()
        try:
            status = self._process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired as exc:
            raise MediaTimeout(f"The decoder did not end within {self._timeout_s:g} s.") from exc
        if status != 0:
            if not self._killed:
                tail = self._stderr_tail.decode("utf-8", "replace").strip()
                log.warning("media process ended with %s: %s", status, tail)
            raise MediaError("The video could not be decoded.")

    def _keep_stderr(self) -> None:
        part = self._stderr.read(PIPE_BYTES)
        if part:
            self._stderr_tail = (self._stderr_tail + part)[-STDERR_TAIL_BYTES:]
        else:
            self._selector.unregister(self._stderr)


class DecoderProcess(SandboxedProcess):
    """A confined process that runs one of the `decoder` programs on one video, see sandbox.confine.

    It loads its libraries at once, and opens the video that `begin` names.

    Args:
        module: the program, decoder.probe or decoder.decode.
        timeout_s: see SandboxedProcess.
        on_gpu: whether it may use the GPU.
        max_memory_bytes: see SandboxedProcess.
    """

    def __init__(
        self, module: str, timeout_s: float, *, on_gpu: bool = False, max_memory_bytes: int = MAX_MEMORY_BYTES
    ) -> None:
        argv = [sys.executable, "-s", "-m", "sandbox.confine", module, str(on_gpu)]
        super().__init__(argv, timeout_s, on_gpu=on_gpu, max_memory_bytes=max_memory_bytes, stdin=subprocess.PIPE)

    def begin(self, video: Path, argument: str) -> None:
        """Start reading a video; call it once.

        Args:
            video: the one file that the process may open.
            argument: passed to the program's `main`; far smaller than a pipe, so writing it does not block.
        """
        assert self._process.stdin
        # A broken pipe means that the process has failed already; reading its output reports that.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps([str(video), argument]).encode() + b"\n")


async def run(argv: Sequence[str], timeout_s: float) -> bytes:
    """Run a program to its end and return its output. Cancelling the call kills the program.

    Raises:
        MediaTimeout: it ran longer than timeout_s.
        MediaError: it failed.
    """
    async with SandboxedProcess(argv, timeout_s) as process:
        return await in_own_thread(process.read_all)
