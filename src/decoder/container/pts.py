"""Everything that decides when a picture is shown, for containers that say it in full, in part, or not at all.

All times are in ticks of the stream's time base.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from decoder.container.ebml import streams_with_dts
from decoder.container.open import place_of
from records import Timing

ASF_DTS_AS_PTS = frozenset(["h264", "mpeg1video", "mpeg2video"])
"""Codecs whose timestamps in ASF are DTS although libav reports them as PTS. It corrects those of MPEG-4 part 2."""
MATROSKA_DTS_AS_PTS = frozenset(["h264", "hevc", "mpeg1video", "mpeg2video"])
"""The same for Matroska."""
MAX_HELD_PICTURES = 32
"""Pictures that wait for the next known time. Without a limit a stream without further times would fill the memory."""


def packet_pts(packet: Packet[VideoStream], timing: Timing) -> int | None:
    """When a packet's picture is shown, as far as the packet tells."""
    return packet.dts if packet.pts is None or timing == "dts" else packet.pts


def timing_of(container: InputContainer, stream: VideoStream) -> Timing:
    """How a stream's packets tell when their pictures are shown, as far as that follows from container and codec.

    All AVI files have DTS alone. If pictures are shown in another order than decoded, so have Matroska files that name
    a codec as AVI does, and ASF files of some codecs.
    """
    context = stream.codec_context
    match container.format.name:
        case "mpeg":
            return "sparse_pts"
        case "avi":
            return "dts"
        case "asf" if context.has_b_frames and context.codec.canonical_name in ASF_DTS_AS_PTS:
            return "dts"
        case "matroska,webm" if context.has_b_frames and context.codec.canonical_name in MATROSKA_DTS_AS_PTS:
            return "dts" if stream.index in streams_with_dts(*place_of(container)) else "pts"
        case _:
            return "pts"


def pts_from_sorted_dts(
    packets: Iterable[Packet[VideoStream] | None],
    decoder: VideoCodecContext,
    decode: Callable[[Packet[VideoStream] | None], list[VideoFrame]],
) -> Iterator[tuple[VideoFrame, int]]:
    """Give the packets' DTS, earliest first, to the pictures in the order in which the decoder returns them.

    Args:
        packets: in decoding order; None makes the decoder return what it holds.
        decoder: decodes them; it will copy the packets' opaque values to the pictures.
        decode: returns the pictures that the decoder has after a packet.
    """
    decoder.copy_opaque = True
    times: list[int] = []
    latest = 0
    for packet in packets:
        if packet is not None and packet.dts is not None:
            heapq.heappush(times, packet.dts)
            packet.opaque = packet.dts
        for frame in decode(packet):
            if isinstance(frame.opaque, int):
                latest = max(latest, frame.opaque)
            if frame.key_frame:  # everything that was coded before it has been shown, or is lost
                while times and times[0] < latest:
                    heapq.heappop(times)
            if times:
                yield frame, heapq.heappop(times)


@dataclass(frozen=True, slots=True)
class _KnownTime:
    """The presentation time of a picture, and the picture's number in presentation order."""

    number: int
    pts: int


class Picture(Protocol):
    """A decoded picture."""

    @property
    def pts(self) -> int | None:
        """Its time, if its packet had one."""


AnyPicture = TypeVar("AnyPicture", bound=Picture)


def interpolate_missing_pts(frames: Iterable[AnyPicture]) -> Iterator[tuple[AnyPicture, int]]:
    """Give pictures in presentation order their times, evenly spaced between the known times around them.

    A known time that is not before the next known one belongs to another picture and is ignored. A picture that cannot
    wait for the next known time continues at the rate before it. Where there is no rate yet, as before the first known
    time, pictures are left out.
    """
    held: deque[tuple[int, AnyPicture]] = deque()
    last: _KnownTime | None = None
    known: _KnownTime | None = None
    number = 0
    for number, frame in enumerate(frames):
        if frame.pts is not None and (last is None or frame.pts > last.pts):
            if known is not None and known.pts < frame.pts:
                yield from _interpolate(held, last, known, known.number)
                last = known
            known = _KnownTime(number, frame.pts)
        held.append((number, frame))
        yield from _interpolate(held, last, known, number - MAX_HELD_PICTURES)
    yield from _interpolate(held, last, known, number)


def _interpolate(
    held: deque[tuple[int, AnyPicture]], last: _KnownTime | None, known: _KnownTime | None, until: int
) -> Iterator[tuple[AnyPicture, int]]:
    """Release the held pictures up to a number, at the rate between two known times."""
    while held and held[0][0] <= until:
        number, frame = held.popleft()
        if last and known:
            ticks, pictures = known.pts - last.pts, known.number - last.number
            yield frame, last.pts + (number - last.number) * ticks // pictures
        elif known and number == known.number:
            yield frame, known.pts
