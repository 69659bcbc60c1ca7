"""Reading videos without a process: its programs run in this one, to their end, when they get their order.

What the worker reads and how it assembles it stays as it is; only the process, its pipes and its sandbox are left out.
"""

import io
import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from unittest.mock import patch

import pytest

from frames.reader_pool import VideoReaders
from sandbox import confine

STDOUT = 1


class ReaderInProcess:
    """Stands in for the process that runs one of the `decoder` programs on one video."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._output = io.BytesIO()

    def begin(self, video: Path, message: str) -> None:
        """Run the program; it blocks until the program ends."""
        write = os.write
        output = self._output

        def write_output(descriptor: int, part: bytes | memoryview) -> int:
            return output.write(part) if descriptor == STDOUT else write(descriptor, part)

        text = io.TextIOWrapper(output, encoding="utf-8", write_through=True)
        with (
            ExitStack() as ending,
            patch.object(os, "write", write_output),
            patch.object(sys, "stdout", text),
            patch.object(sys, "stdin", io.StringIO(json.dumps([str(video), message]))),
            patch.object(sys, "argv", [confine.__name__, self._module, str(False)]),
            patch.object(confine, "confine"),
            patch.dict(os.environ),
        ):
            ending.callback(output.seek, 0)
            ending.callback(text.detach)
            confine.main()

    def read_all(self, _timeout_s: float) -> bytes:
        return self._output.read()

    def read_into(self, buffer: memoryview) -> bool:
        return self._output.readinto(buffer) == len(buffer) > 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def read_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every extractor read videos in this process until the test ends."""

    def take(_readers: VideoReaders, module: str, *, on_gpu: bool = False) -> ReaderInProcess:
        assert not on_gpu
        return ReaderInProcess(module)

    monkeypatch.setattr(VideoReaders, "take", take)
