"""Decodes the packets of a stream to frames with presentation times."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import chain, starmap
from typing import Final

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from decoder.container.colours import DeclaredColours
from decoder.container.film import FilmPackets
from decoder.container.orientation import Orientation, Turns
from decoder.container.pixel_aspect import PixelAspects
from decoder.container.present import Present
from decoder.container.pts import interpolate_missing_pts, pts_from_sorted_dts
from records import Timing, VideoInfo

FLUSH: Final = (None,)
"""In place of further packets it makes a decoder return the pictures that it still holds."""


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A decoded picture and its presentation time in ticks of the stream."""

    frame: VideoFrame
    pts: int
    orientation: Orientation | None = None
    """How it is turned, as far as that depends on the pictures before it."""
    pixel_aspect: Fraction | None = None
    """Width of a pixel, divided by its height; None if it is as for the whole video."""
    is_marked: bool = False
    """A picture that it is decoded from is damaged or missing, or its packet is."""

    @property
    def duration(self) -> int:
        """In ticks; 0 if unknown."""
        return self.frame.duration

    @property
    def is_damaged(self) -> bool:
        """It may not look as it was encoded."""
        return self.is_marked or self.frame.is_corrupt

    def damaged(self) -> TimedFrame:
        """The same picture, marked as damaged."""
        return replace(self, is_marked=True)


@dataclass(frozen=True, slots=True)
class _UntimedFrame:
    """A decoded picture, and what its decoder says of it only as it returns it."""

    frame: VideoFrame
    pts: int | None
    pixel_aspect: Fraction | None


def is_single_field(frame: VideoFrame, codec: str) -> bool:
    """Whether a picture holds one field, every other line. In HEVC libav marks exactly these pictures as interlaced."""
    return codec == "hevc" and frame.interlaced_frame


def decode_frames(
    stream: VideoStream,
    timing: Timing,
    packets: Iterable[Packet[VideoStream]],
    on_error: Callable[[], None] | None = None,
    info: VideoInfo | None = None,
) -> Iterator[TimedFrame]:
    """Decode every packet, in presentation order; damaged packets are passed over.

    Args:
        stream: of an open file.
        timing: of the stream.
        packets: of the stream.
        on_error: called when the decoder fails at a packet.
        info: of the video, if it is known; it says how the first picture is turned.

    A frame without a presentation time gets its decoding time. Where containers give each packet a time, a frame
    without either is left out.
    """
    yield from _decode_run(stream, timing, packets, Turns(info), on_error)


def decode_film(packets: FilmPackets, timing: Timing, present: Present) -> Iterator[TimedFrame]:
    """Decode every packet of a film; as decode_frames, with the decoder of each stream that takes its turn.

    Raises:
        MissingBytes: the next packet was not fetched.
    """
    for stream, run in packets.runs():
        yield from _decode_run(stream, timing, present.checked(run), Turns(None))
        stream.codec_context.flush_buffers()


def _decode_run(
    stream: VideoStream,
    timing: Timing,
    run: Iterable[Packet[VideoStream]],
    turns: Turns,
    on_error: Callable[[], None] | None = None,
) -> Iterator[TimedFrame]:
    colours = DeclaredColours(stream.codec_context)
    for timed in _decode_upright(stream, timing, run, on_error):
        colours.complete(timed.frame)
        yield replace(timed, orientation=turns.of(timed.frame))


def _decode_upright(
    stream: VideoStream,
    timing: Timing,
    run: Iterable[Packet[VideoStream]],
    on_error: Callable[[], None] | None,
) -> Iterator[TimedFrame]:
    given = chain(run, FLUSH)
    decode = partial(decode_untimed, stream.codec_context, on_error=on_error)
    aspects = PixelAspects(stream)
    if timing == "dts":
        yield from starmap(TimedFrame, pts_from_sorted_dts(given, stream.codec_context, decode))
    elif timing == "sparse_pts":
        frames = chain.from_iterable(map(decode, given))
        untimed = (_UntimedFrame(frame, frame.pts, aspects.of(frame)) for frame in frames)
        for one, pts in interpolate_missing_pts(untimed):
            yield TimedFrame(one.frame, pts, pixel_aspect=one.pixel_aspect)
    else:
        for packet in given:
            for timed in decode_packet(stream.codec_context, packet, on_error):
                yield replace(timed, pixel_aspect=aspects.of(timed.frame))


def decode_packet(
    decoder: VideoCodecContext, packet: Packet[VideoStream] | None, on_error: Callable[[], None] | None = None
) -> Iterator[TimedFrame]:
    """The pictures that a decoder returns for a packet, or for None those that it still holds."""
    for frame in decode_untimed(decoder, packet, on_error):
        pts = frame.dts if frame.pts is None else frame.pts
        if pts is not None:
            yield TimedFrame(frame, pts)


def decode_untimed(
    decoder: VideoCodecContext, packet: Packet[VideoStream] | None, on_error: Callable[[], None] | None = None
) -> list[VideoFrame]:
    """The pictures that a decoder returns for a packet, or for None those that it still holds; some have no time."""
    try:
        return decoder.decode(packet)
    except av.error.FFmpegError as exc:
        if decoder.is_hwaccel and not isinstance(exc, av.error.InvalidDataError):
            raise  # not the file's fault
        if on_error is not None:
            on_error()
        return []
