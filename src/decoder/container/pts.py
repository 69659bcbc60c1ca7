"""Everything that decides when a picture is shown, for containers that say it in full, in part, or not at all.

All times are in ticks of the stream's time base.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from decoder.container.formats import ASF, AVI, MPEG_PROGRAM

ASF_DTS_AS_PTS = frozenset(["h264", "mpeg1video", "mpeg2video"])
"""Codecs whose timestamps in ASF are DTS although libav reports them as PTS. It corrects those of MPEG-4 part 2."""
MAX_HELD_PICTURES = 32
"""Pictures that wait for the next known time. Without a limit a stream without further times would fill the memory."""


def packet_pts(packet: Packet[VideoStream]) -> int | None:
    """When a packet's picture is shown, as the container says; but see `has_dts_only`."""
    if packet.pts is None or has_dts_only(packet.stream):
        return packet.dts
    return packet.pts


def has_dts_only(stream: VideoStream) -> bool:
    """Whether packets tell only when they are decoded: sorted, these times are right for the pictures as shown.

    All AVI files are like that, and ASF files of some codecs if pictures are shown in another order than decoded.
    """
    container, context = stream.container.format.name, stream.codec_context
    if container == ASF:
        return context.codec.canonical_name in ASF_DTS_AS_PTS and bool(context.has_b_frames)
    return container == AVI


def lacks_pts(stream: VideoStream) -> bool:
    """Whether some packets have no PTS of their own: times are then right only if decoding starts with the file."""
    return stream.container.format.name == MPEG_PROGRAM or has_dts_only(stream)


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


def interpolate_missing_pts(frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, int]]:
    """Give pictures in presentation order their times, evenly spaced between the known times around them.

    A known time that is not before the next known one belongs to another picture and is ignored. A picture that cannot
    wait for the next known time continues at the rate before it. Where there is no rate yet, as before the first known
    time, pictures are left out.
    """
    held: deque[tuple[int, VideoFrame]] = deque()
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
    held: deque[tuple[int, VideoFrame]], last: _KnownTime | None, known: _KnownTime | None, until: int
) -> Iterator[tuple[VideoFrame, int]]:
    """Release the held pictures up to a number, at the rate between two known times."""
    while held and held[0][0] <= until:
        number, frame = held.popleft()
        if last and known:
            ticks, pictures = known.pts - last.pts, known.number - last.number
            yield frame, last.pts + (number - last.number) * ticks // pictures
        elif known and number == known.number:
            yield frame, known.pts
