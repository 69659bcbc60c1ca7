"""Decodes the segments of a stream on all cores, or on the GPU.

Closed GOPs are decoded in parallel, each by a decoder with one thread: none waits for another, whereas the threads of
one decoder wait for each other's pictures. The segments of longer GOPs go in sequence to one decoder that has all
threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from decoder.container.frames import TimedFrame
from decoder.gop.account import LostPicture
from decoder.gop.decoder import Beginning, ConvertedPicture, Decoder
from decoder.gop.select import GopSegment
from protocol import DecodeOrder

PICTURES_PER_DECODER = 17
"""The most that a decoder holds: sixteen reference pictures and the current one."""
BYTES_PER_PIXEL = 3
"""Of 4:2:0 with 10 bits."""
MAX_HELD_BYTES = 2 * 2**30
READ_AHEAD_BYTES_PER_DECODER = 2**26
"""The budget for converted pictures of GOPs that were decoded ahead of their turn: in a film with few pictures per
second hundreds of pictures of one GOP wait."""

DecodedPicture: TypeAlias = TimedFrame | ConvertedPicture | LostPicture


def parallel_decoders(threads: int, height_px: int, width_px: int) -> int:
    """How many decoders of one thread run in parallel: one per thread, if the pictures that they hold have room."""
    held_bytes = PICTURES_PER_DECODER * BYTES_PER_PIXEL * height_px * width_px
    return max(1, min(threads, MAX_HELD_BYTES // max(1, held_bytes)))


class ReadAheadQueue:
    """Closed GOPs that are decoded before it is their turn: bounded in number, and in the size of their pictures."""

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._gops: deque[tuple[Future[list[ConvertedPicture | LostPicture]], int]] = deque()

    def __len__(self) -> int:
        return len(self._gops)

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether another GOP may be added whose pictures are expected to take this much memory."""
        queued_bytes = sum(gop_bytes for _, gop_bytes in self._gops)
        budget_bytes = self._parallel * READ_AHEAD_BYTES_PER_DECODER
        return len(self._gops) <= self._parallel and queued_bytes + size_bytes <= budget_bytes

    def put(self, gop: Future[list[ConvertedPicture | LostPicture]], size_bytes: int) -> None:
        """Add a GOP at the end."""
        self._gops.append((gop, size_bytes))

    def take(self) -> Iterator[ConvertedPicture | LostPicture]:
        """Wait for the first GOP; each of its pictures is released as the next one is taken."""
        pictures = self._gops.popleft()[0].result()[::-1]
        while pictures:
            yield pictures.pop()


class DecoderPool:
    """All decoders for an order; each is made when it is first needed.

    Args:
        path: local file.
        order: what is decoded.
        parallel: how many GOPs are decoded in parallel; with 1 all segments are decoded in sequence, with all threads
            or on the GPU.
        beginning: what all decoders are shown before they decode.
        on_gpu: decode on the GPU, or fail.
    """

    def __init__(self, path: str, order: DecodeOrder, parallel: int, beginning: Beginning, *, on_gpu: bool) -> None:
        self._path, self._order, self._parallel, self._on_gpu = path, order, parallel, on_gpu
        self._beginning = beginning
        self._of_thread = threading.local()

    def decode(self, segments: Iterator[GopSegment]) -> Iterator[DecodedPicture]:
        """Decode segments and return their pictures in order; of closed GOPs only the wanted ones, converted."""
        queue = ReadAheadQueue(self._parallel)
        in_sequence: Decoder | None = None
        with ThreadPoolExecutor(self._parallel) as executor:
            for segment in segments:
                if segment.is_closed_gop and self._parallel > 1:
                    size_bytes = segment.expected_pictures * self._order.picture_bytes
                    while queue and not queue.has_room_for(size_bytes):
                        yield from queue.take()
                    queue.put(executor.submit(self._decode_closed_gop, segment), size_bytes)
                    continue
                while queue:
                    yield from queue.take()
                if in_sequence is None:
                    in_sequence = self._new_decoder(self._order.threads)
                yield from in_sequence.decode(segment)
            while queue:
                yield from queue.take()
        if in_sequence is not None:
            yield from in_sequence.drain()

    def _decode_closed_gop(self, segment: GopSegment) -> list[ConvertedPicture | LostPicture]:
        if not hasattr(self._of_thread, "decoder"):
            self._of_thread.decoder = self._new_decoder(threads=1)
        decoder: Decoder = self._of_thread.decoder
        return decoder.decode_closed_gop(segment)

    def _new_decoder(self, threads: int) -> Decoder:
        return Decoder(self._path, self._order, threads, self._beginning, on_gpu=self._on_gpu)
