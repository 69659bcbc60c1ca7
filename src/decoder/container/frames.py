"""Decodes the packets of a stream to frames with presentation times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, starmap
from typing import Final

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from decoder.container.colours import DeclaredColours
from decoder.container.film import FilmPackets
from decoder.container.orientation import Orientation, Turns
from decoder.container.packets import Packets
from decoder.container.pts import has_dts_only, interpolate_missing_pts, lacks_pts, pts_from_sorted_dts
from records import VideoInfo

FLUSH: Final = (None,)
"""In place of further packets it makes a decoder return the pictures that it still holds."""


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A decoded picture and its presentation time in ticks of the stream."""

    frame: VideoFrame
    pts: int
    orientation: Orientation | None = None
    """How it is turned, as far as that depends on the pictures before it."""

    @property
    def duration(self) -> int:
        """In ticks; 0 if unknown."""
        return self.frame.duration

    @property
    def is_damaged(self) -> bool:
        """The decoder made up a part of it, or a picture that it references is missing."""
        return self.frame.is_corrupt


def is_single_field(frame: VideoFrame, codec: str) -> bool:
    """Whether a picture holds one field, every other line. In HEVC libav marks exactly these pictures as interlaced."""
    return codec == "hevc" and frame.interlaced_frame


def decode_frames(
    container: InputContainer,
    stream: VideoStream,
    info: VideoInfo | None = None,
    packets: Iterable[Packet[VideoStream]] | None = None,
) -> Iterator[TimedFrame]:
    """Decode every packet, in presentation order; damaged packets are passed over.

    A frame without a presentation time gets its decoding time. Where containers give each packet a time, a frame
    without either is left out.
    """
    yield from _decode_run(stream, packets or Packets(container, stream), Turns(info))


def decode_film(packets: FilmPackets, info: VideoInfo | None = None) -> Iterator[TimedFrame]:
    """Decode every packet of a film; as decode_frames, with the decoder of each stream that takes its turn."""
    for stream, run in packets.runs():
        yield from _decode_run(stream, run, Turns(info))
        stream.codec_context.flush_buffers()


def _decode_run(stream: VideoStream, run: Iterable[Packet[VideoStream]], turns: Turns) -> Iterator[TimedFrame]:
    colours = DeclaredColours(stream.codec_context)
    for timed in _decode_upright(stream, run):
        colours.complete(timed.frame)
        yield replace(timed, orientation=turns.of(timed.frame))


def _decode_upright(stream: VideoStream, run: Iterable[Packet[VideoStream]]) -> Iterator[TimedFrame]:
    packets = chain(run, FLUSH)
    decode = partial(_decode, stream.codec_context)
    if has_dts_only(stream):
        yield from starmap(TimedFrame, pts_from_sorted_dts(packets, stream.codec_context, decode))
    elif lacks_pts(stream):
        yield from starmap(TimedFrame, interpolate_missing_pts(chain.from_iterable(map(decode, packets))))
    else:
        yield from chain.from_iterable(decode_packet(stream.codec_context, packet) for packet in packets)


def decode_packet(decoder: VideoCodecContext, packet: Packet[VideoStream] | None) -> Iterator[TimedFrame]:
    """The pictures that a decoder returns for a packet, or for None those that it still holds."""
    for frame in _decode(decoder, packet):
        pts = frame.dts if frame.pts is None else frame.pts
        if pts is not None:
            yield TimedFrame(frame, pts)


def _decode(decoder: VideoCodecContext, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
    try:
        return decoder.decode(packet)
    except av.error.FFmpegError as exc:
        if decoder.is_hwaccel and not isinstance(exc, av.error.InvalidDataError):
            raise  # not the file's fault
        return []
