"""Turns what the decoder writes into the frames of chunks."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from errors import MediaError
from frames.static import changing_pairs
from protocol import DecodeStats, PictureHeader
from records import Chunk, Decoding, FrameBatch, FrameSelection, SampleGrid, Watched
from strict_json import InvalidMessage

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Picture:
    """A decoded picture and the instants [first, stop) that it still has to serve."""

    first: int
    stop: int
    time_s: float
    is_damaged: bool
    pixels: npt.NDArray[np.uint8] | None = None
    """None while they are still in the pipe."""


class BatchAssembler:
    """Reads the decoder's pictures into batches; keeps those that the next chunk sees again.

    Args:
        read_into: fills a buffer with the decoder's next bytes, blocking; False at their end.
        grid: the plan's.
        selection: see FrameExtractor.stream_frames.
    """

    def __init__(self, read_into: Callable[[memoryview], bool], grid: SampleGrid, selection: FrameSelection) -> None:
        self._read_into = read_into
        self._grid = grid
        self._selection = selection
        self._waiting: list[Picture] = []
        self._ended = False
        self._decoding: Decoding | None = None

    def batch(self, chunk: Chunk, following: Chunk | None) -> FrameBatch:
        """Read until the chunk is complete; blocks while the decoder works."""
        started_s = time.monotonic()
        grid, wanted = self._grid, self._grid.indices(chunk)
        places = 2 * len(wanted) if self._selection == "keyframes" else len(wanted)
        pixels = np.empty((places, grid.height_px, grid.width_px, 3), np.uint8)
        times_s, is_damaged = np.empty(places, np.float64), np.empty(places, np.bool_)
        keep_from = grid.indices(following).start if following else None
        kept: list[Picture] = []
        filled, seen_until_s = 0, chunk.start_s
        while picture := self._next_before(wanted.stop):
            served = range(max(picture.first, wanted.start), min(picture.stop, wanted.stop))
            if self._selection == "keyframes":
                frames_s = [picture.time_s] * 2 if picture.first in served else []
            else:
                frames_s = [grid.instant_s(index) for index in served]
            place = pixels[filled] if frames_s else np.empty_like(pixels, shape=pixels.shape[1:])
            self._read_pixels(picture, place)
            pixels[filled + 1 : filled + len(frames_s)] = place
            times_s[filled : filled + len(frames_s)] = frames_s
            is_damaged[filled : filled + len(frames_s)] = picture.is_damaged
            filled += len(frames_s)
            if filled:
                seen_until_s = grid.instant_s(served.stop)
            if keep_from is not None and picture.stop > keep_from:
                kept.append(replace(picture, pixels=place.copy()))
        self._waiting = kept + self._waiting
        decode_s = time.monotonic() - started_s
        decoding, self._decoding = self._decoding, None
        watched = Watched(chunk, grid, places, seen_until_s=seen_until_s, decode_s=decode_s, decoding=decoding)
        batch = FrameBatch(watched, pixels, times_s, is_damaged).chosen(slice(filled))
        return batch.chosen(changing_pairs(batch.pixels)) if self._selection == "adaptive" else batch

    def _next_before(self, stop: int) -> Picture | None:
        """Take the next picture, if it serves an instant before `stop`."""
        if not self._waiting and not self._ended:
            self._read_header()
        if not self._waiting or self._waiting[0].first >= stop:
            return None
        return self._waiting.pop(0)

    def _read_header(self) -> None:
        try:
            self._take_header()
        except InvalidMessage as exc:
            raise MediaError("The decoder's output is not what it should be.") from exc

    def _take_header(self) -> None:
        header = PictureHeader.from_bytes(self._read(PictureHeader.SIZE_BYTES))
        if header.count:
            time_s = self._grid.origin_s + header.time_s
            self._waiting.append(Picture(header.first, header.first + header.count, time_s, header.is_damaged))
            return
        self._ended = True
        stats = DecodeStats.from_bytes(self._read(DecodeStats.SIZE_BYTES))
        if stats.packets_read:
            self._decoding = Decoding("needed", stats.packets_read, stats.packets_decoded, stats.closed_gops)
        else:
            self._decoding = Decoding("keyframes" if self._selection == "keyframes" else "all")
        log.info("decoded: %s", self._decoding)

    def _read_pixels(self, picture: Picture, place: npt.NDArray[np.uint8]) -> None:
        if picture.pixels is not None:
            place[:] = picture.pixels
        elif not self._read_into(place.data.cast("B")):
            raise MediaError("The decoder stopped before a picture.")

    def _read(self, size_bytes: int) -> bytes:
        part = bytearray(size_bytes)
        if not self._read_into(memoryview(part)):
            raise MediaError("The decoder stopped too early.")
        return bytes(part)
