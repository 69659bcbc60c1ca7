"""The decoder's output as a queue of pictures."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from errors import MediaError
from frames.missing import BytesMissing
from protocol import DecodeStats, PictureHeader
from records import UnseenReason
from strict_json import InvalidMessage


@dataclass(frozen=True, slots=True)
class QueuedPicture:
    """A decoded picture and the instants [first, stop) of the grid at which it is on screen."""

    first: int
    stop: int
    time_s: float
    """The picture's own presentation time in the source video."""
    unseen: UnseenReason | None = None
    """Why it does not show what was to be seen at these instants."""
    pixels: npt.NDArray[np.uint8] | None = None
    """uint8 (H, W, 3) RGB; None while they are still in the pipe."""


class PictureQueue:
    """The pictures of one decoder in presentation order, each read from the pipe when it is asked for.

    The pixels of a picture follow its header in the pipe: they are read before the next picture is taken.

    Args:
        read_into: fills a buffer with the decoder's next bytes, blocking; False at the end of the output.
        origin_s: the time in the source video of instant 0.

    Attributes:
        stats: what the decoder did; None until it has delivered its last picture.
    """

    def __init__(self, read_into: Callable[[memoryview], bool], origin_s: float) -> None:
        self._read_into = read_into
        self._origin_s = origin_s
        self._waiting: deque[QueuedPicture] = deque()
        self.stats: DecodeStats | None = None

    def take_before(self, stop: int) -> QueuedPicture | None:
        """Take the next picture if it is on screen at an instant before `stop`.

        Raises:
            BytesMissing: the decoder would have to read a part of the file that was not fetched.
            MediaError: the decoder failed, or its output is not what the protocol says.
        """
        if not self._waiting and self.stats is None:
            self._read_header()
        if not self._waiting or self._waiting[0].first >= stop:
            return None
        return self._waiting.popleft()

    def put_back(self, pictures: Sequence[QueuedPicture]) -> None:
        """Put pictures with their pixels before all others, in their order."""
        self._waiting.extendleft(reversed(pictures))

    def read_pixels(self, picture: QueuedPicture, target: npt.NDArray[np.uint8]) -> None:
        """Write the pixels of the picture that was taken last to `target`, uint8 (H, W, 3).

        Raises:
            MediaError: the decoder failed.
        """
        if picture.pixels is not None:
            target[:] = picture.pixels
        elif not self._read_into(target.data.cast("B")):
            raise MediaError("The decoder stopped before a picture.")

    def _read_header(self) -> None:
        """Queue the next picture; after the last one, read what the decoder did."""
        try:
            header = PictureHeader.from_bytes(self._read(PictureHeader.SIZE_BYTES))
            if header.count:
                time_s = self._origin_s + header.time_s
                stop = header.first + header.count
                self._waiting.append(QueuedPicture(header.first, stop, time_s, header.unseen))
            elif header.unseen:
                raise BytesMissing(BytesMissing.SENTENCE)
            else:
                self.stats = DecodeStats.from_bytes(self._read(DecodeStats.SIZE_BYTES))
        except InvalidMessage as exc:
            raise MediaError("The decoder's output is not what it should be.") from exc

    def _read(self, size_bytes: int) -> bytes:
        content = bytearray(size_bytes)
        if not self._read_into(memoryview(content)):
            raise MediaError("The decoder stopped too early.")
        return bytes(content)
