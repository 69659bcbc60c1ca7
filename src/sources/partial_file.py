"""A file that is written while it arrives."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from errors import DiskFull

Result = TypeVar("Result")
WRITE_BYTES = 2**20
"""How much is collected before it is written."""


class PartialFile:
    """Writes a file in a thread of its own, since a disk may be slow, and gives it its name when it is complete.

    Args:
        target: the complete file's name; a partly written one has `.part` added.
        has_holes: the file has its name from the beginning, and writing to it drops nothing.
    """

    def __init__(self, target: Path, *, has_holes: bool = False) -> None:
        self._target, self._has_holes = target, has_holes
        self._path = target if has_holes else target.with_name(f"{target.name}.part")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="download")
        self._file: IO[bytes] | None = None
        # Parts are copied into one buffer while the other is written: to keep the parts themselves until the thread has
        # written them makes the allocator take memory from the system and return it for each, which costs more.
        # Views, because a bytearray copies what is assigned to a part of it once more.
        self._collected, self._other = memoryview(bytearray(WRITE_BYTES)), memoryview(bytearray(WRITE_BYTES))
        self._collected_bytes = 0
        self._writing: asyncio.Future[int] | None = None

    @asynccontextmanager
    async def opened(self, offset_bytes: int, more_bytes: int | None) -> AsyncGenerator[Self]:
        """Open the file to write from an offset on, dropping what follows it; at the end write all and close it.

        Args:
            offset_bytes: at most the size of the file; a file with holes has its size by then.
            more_bytes: how much will be written, if that is known.

        Raises:
            DiskFull: there is no room for more_bytes, or for what was written.
        """
        await self._run(lambda: self._open(offset_bytes))
        try:
            if more_bytes and more_bytes > (await self._run(lambda: shutil.disk_usage(self._path))).free:
                raise DiskFull("The worker's disk has no room for the source.")
            yield self
        finally:
            # The thread works in order: it closes the file after the writes, even if this task stops waiting for them.
            before, self._writing = self._writing, None
            self._flush()
            last, self._writing = self._writing, None
            ends: list[asyncio.Future[Any]] = [self._in_thread(self._close), *filter(None, (before, last))]
            with _full_disk_named():
                await asyncio.shield(asyncio.gather(*ends))

    async def write(self, part: bytes | memoryview) -> None:
        """Take a part, which is written once WRITE_BYTES have come together, or at the end."""
        rest = memoryview(part)
        while rest:
            taken = rest[: WRITE_BYTES - self._collected_bytes]
            self._collected[self._collected_bytes : self._collected_bytes + len(taken)] = taken
            self._collected_bytes += len(taken)
            rest = rest[len(taken) :]
            if self._collected_bytes == WRITE_BYTES:
                await self._written()
                self._flush()

    async def make_hole(self, size_bytes: int) -> None:
        """Give a file that has holes its size; it takes no room on the disk.

        Raises:
            OSError: the file system knows no file of this size.
        """
        await self._run(lambda: self._make_hole(size_bytes))

    async def complete(self) -> None:
        """Give the file its name."""
        await self._run(lambda: self._path.rename(self._target))

    def close(self) -> None:
        """Close the file if it is open, and end the thread, without waiting for either."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    def _make_hole(self, size_bytes: int) -> None:
        self._path.touch(mode=0o600)
        with self._path.open("wb") as file:
            file.truncate(size_bytes)

    def _open(self, offset_bytes: int) -> None:
        self._path.touch(mode=0o600)
        self._file = self._path.open("r+b" if offset_bytes or self._has_holes else "wb")
        if offset_bytes:
            self._file.seek(offset_bytes)
        if offset_bytes and not self._has_holes:
            self._file.truncate()

    def _close(self) -> None:
        if self._file:
            self._file.close()

    def _flush(self) -> None:
        """Begin to write what was collected; the write before it is over."""
        assert self._file
        if self._collected_bytes:
            self._writing = self._in_thread(partial(self._file.write, self._collected[: self._collected_bytes]))
            self._collected, self._other, self._collected_bytes = self._other, self._collected, 0

    async def _written(self) -> None:
        """Wait until what was flushed is written."""
        if self._writing:
            writing, self._writing = self._writing, None
            with _full_disk_named():
                await writing

    async def _run(self, call: Callable[[], Result]) -> Result:
        with _full_disk_named():
            return await self._in_thread(call)

    def _in_thread(self, call: Callable[[], Result]) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().run_in_executor(self._thread, call)


@contextmanager
def _full_disk_named() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in DiskFull.ERRNOS:
            raise DiskFull("The worker's disk is full.") from exc
        raise
