"""Decodes pieces of a stream on all cores, or on the GPU; child processes only.

Whole groups of pictures are decoded side by side, each by a decoder of one thread: nothing waits for anything, where
the threads of one decoder wait for each other's pictures. Pieces of longer groups go one after the other to one
decoder that has all threads.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from decoder.container.open import END, TimedFrame, decode_packet, open_video
from decoder.convert.rgb import PictureConverter
from decoder.gop.select import Piece
from protocol import DecodePlan

PICTURES_A_DECODER = 17
"""The most that a decoder holds: the sixteen that others may refer to, and the one in work."""
BYTES_A_PIXEL = 3
"""Of 4:2:0 with 10 bits."""
MAX_HELD_BYTES = 2 * 2**30
WAITING_BYTES_A_DECODER = 2**26
"""Of pictures of groups that are ahead of their turn: of a film of few pictures a second, hundreds of a group wait."""
GPU_PIXEL_FORMAT = "cuda"


def planned_stream(container: InputContainer, plan: DecodePlan, threads: int) -> VideoStream:
    """A plan's stream in its file, with a decoder of so many threads."""
    stream = container.streams[plan.stream_index]
    assert isinstance(stream, VideoStream)  # the scan chose it
    stream.codec_context.thread_count = threads
    stream.thread_type = "AUTO"
    if plan.fast:
        stream.codec_context.options |= {"skip_loop_filter": "all"}
    return stream


def side_by_side(threads: int, height_px: int, width_px: int) -> int:
    """How many decoders of one thread to run at once: as many as there are threads, and room for their pictures."""
    held_bytes = PICTURES_A_DECODER * BYTES_A_PIXEL * height_px * width_px
    return max(1, min(threads, MAX_HELD_BYTES // max(1, held_bytes)))


class GpuUnused(RuntimeError):
    """The GPU cannot decode this stream."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A picture of its final size, with its time and duration in ticks."""

    pts: int
    duration: int
    is_damaged: bool
    pixels: npt.NDArray[np.uint8]


class Decoder:
    """One decoder of a plan's stream."""

    def __init__(self, plan: DecodePlan, threads: int) -> None:
        # One CUDA context for all streams of a file: each would take hundreds of megabytes beside the engine.
        hwaccel = HWAccel("cuda", options={"primary_ctx": "1"}) if plan.on_gpu else None
        with open_video(plan.path, hwaccel) as container:  # not kept: the index of a film of ten hours is 14 MB
            self._decoder = planned_stream(container, plan, threads).codec_context
        self._on_gpu = plan.on_gpu
        self._converter = PictureConverter(plan.height_px, plan.width_px, plan.codec)

    def frames(self, piece: Piece) -> Iterator[TimedFrame]:
        """Decode a piece that follows the one before; a decoder with threads gives some of its pictures later.

        Raises:
            GpuUnused: libav decodes on the CPU what the GPU should.
        """
        for packet in chain(piece.packets, END if piece.ends_group else ()):
            for timed in decode_packet(self._decoder, packet):
                if self._on_gpu and self._decoder.pix_fmt != GPU_PIXEL_FORMAT:
                    raise GpuUnused
                yield timed
        if piece.ends_group:
            self._decoder.flush_buffers()

    def rest(self) -> Iterator[TimedFrame]:
        """The pictures that the decoder still holds."""
        yield from decode_packet(self._decoder, None)

    def wanted_pictures(self, group: Piece) -> list[Converted]:
        """Decode a whole group, and convert what is wanted of it: all, where times were not what the packets said."""
        if not group.packets:
            return []
        found = [self._converted(timed) for timed in self.frames(group) if _is_wanted(timed, group.wanted_pts)]
        if group.wanted_pts is None or len(found) == len(group.wanted_pts):
            return found
        return [self._converted(timed) for timed in self.frames(group)]

    def _converted(self, timed: TimedFrame) -> Converted:
        return Converted(timed.pts, timed.duration, timed.is_damaged, self._converter.convert(timed.frame))


def _is_wanted(timed: TimedFrame, wanted_pts: frozenset[int] | None) -> bool:
    return wanted_pts is None or timed.pts in wanted_pts


class Ahead:
    """Groups that are decoded side by side before it is their turn: some, and no more than their pictures have room."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._groups: deque[tuple[Future[list[Converted]], int]] = deque()

    def __len__(self) -> int:
        return len(self._groups)

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether a group may come along whose pictures are expected to take so much."""
        waiting_bytes = sum(group_bytes for _, group_bytes in self._groups)
        room_bytes = self._at_once * WAITING_BYTES_A_DECODER
        return len(self._groups) <= self._at_once and waiting_bytes + size_bytes <= room_bytes

    def put(self, group: Future[list[Converted]], size_bytes: int) -> None:
        """Add the last in order."""
        self._groups.append((group, size_bytes))

    def pictures(self) -> Iterator[Converted]:
        """Wait for the first group in order, and let go of each picture as it is taken."""
        pictures = self._groups.popleft()[0].result()[::-1]
        while pictures:
            yield pictures.pop()


class Decoders:
    """All decoders of a plan; made when they are first needed.

    Args:
        plan: what to decode.
        at_once: how many groups are decoded side by side; one means in order, with all threads or by the GPU.
    """

    def __init__(self, plan: DecodePlan, at_once: int) -> None:
        self._plan, self._at_once = plan, at_once
        self._of_thread = threading.local()

    def pictures(self, pieces: Iterator[Piece]) -> Iterator[TimedFrame | Converted]:
        """Decode pieces, in order; of whole groups only the wanted pictures come."""
        ahead = Ahead(self._at_once)
        in_order: Decoder | None = None
        with ThreadPoolExecutor(self._at_once) as pool:
            for piece in pieces:
                if piece.is_whole and self._at_once > 1:
                    size_bytes = piece.pictures_expected * self._plan.picture_bytes
                    while ahead and not ahead.has_room_for(size_bytes):
                        yield from ahead.pictures()
                    ahead.put(pool.submit(self._wanted_pictures, piece), size_bytes)
                    continue
                while ahead:
                    yield from ahead.pictures()
                if in_order is None:
                    in_order = Decoder(self._plan, self._plan.threads)
                yield from in_order.frames(piece)
            while ahead:
                yield from ahead.pictures()
        if in_order is not None:
            yield from in_order.rest()

    def _wanted_pictures(self, group: Piece) -> list[Converted]:
        if not hasattr(self._of_thread, "decoder"):
            self._of_thread.decoder = Decoder(self._plan, threads=1)
        decoder: Decoder = self._of_thread.decoder
        return decoder.wanted_pictures(group)
