"""Opening a file from outside with libav; used inside the child processes only."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, starmap
from typing import Final, Literal

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData, SideDataContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from decoder.container.packets import Packets, has_times_of_decoding, is_untimed
from decoder.container.pts import between_known_times
from protocol import DECODERS, MAX_STREAMS

# Playlists, image sequences and text are formats that read other files: only these are opened.
FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf"
MAX_PICTURE_PIXELS = 36_000_000
"""A little more than 8K."""
DISPLAY_MATRIX = struct.Struct("=5i")
"""The first five of nine numbers, rows first: a, b, u, c, d."""
END: Final = (None,)
"""What makes a decoder give the pictures that it still holds."""


def open_video(path: str, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a local file of a supported container.

    Args:
        path: local file.
        hwaccel: what its decoders use, if they can.

    Raises:
        av.error.FFmpegError: the file is damaged or of another format.
    """
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": FORMATS,
        "codec_whitelist": DECODERS,
        "max_streams": str(MAX_STREAMS),
    }
    container = av.open(f"file:{path}", options=options, metadata_errors="replace", hwaccel=hwaccel)
    for stream in container.streams.video:
        if stream.codec_context:  # libav knows the codec
            stream.codec_context.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}
    return container


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures; cover art and the still pictures of HEIF files are none."""
    return next((stream for stream in container.streams.video if not _is_still(stream)), None)


def _is_still(stream: VideoStream) -> bool:
    is_heif_item = stream.frames == 1 and stream.duration is None and stream.time_base == 1  # no track has such a clock
    return is_heif_item or bool(stream.disposition & Disposition.attached_pic)


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A decoded picture and its presentation time in ticks of the stream."""

    frame: VideoFrame
    pts: int

    @property
    def duration(self) -> int:
        """In ticks; 0 if nobody knows."""
        return self.frame.duration

    @property
    def is_damaged(self) -> bool:
        """The decoder made up a part, or what it is decoded from is missing."""
        return self.frame.is_corrupt


def is_field(frame: VideoFrame, codec: str) -> bool:
    """Whether a picture has every other line only; libav marks those of HEVC as interlaced where it is so."""
    return codec == "hevc" and frame.interlaced_frame


def decode_frames(container: InputContainer, stream: VideoStream) -> Iterator[TimedFrame]:
    """Decode what can be decoded, in presentation order; damaged packets are passed over.

    A frame without a presentation time gets its decoding time; without either it is left out, where times are the rule.
    """
    packets = chain(Packets(container, stream), END)
    if has_times_of_decoding(stream):
        yield from _in_order_of_times(packets, stream.codec_context)
    elif is_untimed(stream):
        frames = chain.from_iterable(_decode(stream.codec_context, packet) for packet in packets)
        yield from starmap(TimedFrame, between_known_times(frames))
    else:
        yield from chain.from_iterable(decode_packet(stream.codec_context, packet) for packet in packets)


def decode_packet(decoder: VideoCodecContext, packet: Packet[VideoStream] | None) -> Iterator[TimedFrame]:
    """The pictures that a decoder gives for a packet, or that it still holds, for None."""
    for frame in _decode(decoder, packet):
        pts = frame.dts if frame.pts is None else frame.pts
        if pts is not None:
            yield TimedFrame(frame, pts)


def _in_order_of_times(
    packets: Iterable[Packet[VideoStream] | None], decoder: VideoCodecContext
) -> Iterator[TimedFrame]:
    """Give the packets' times, earliest first, to the pictures in the order in which the decoder shows them."""
    decoder.copy_opaque = True
    times: list[int] = []
    latest = 0
    for packet in packets:
        if packet is not None and packet.dts is not None:
            heapq.heappush(times, packet.dts)
            packet.opaque = packet.dts
        for frame in _decode(decoder, packet):
            if isinstance(frame.opaque, int):
                latest = max(latest, frame.opaque)
            if frame.key_frame:  # all that was coded before it has been shown, or is lost
                while times and times[0] < latest:
                    heapq.heappop(times)
            if times:
                yield TimedFrame(frame, heapq.heappop(times))


def _decode(decoder: VideoCodecContext, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
    try:
        return decoder.decode(packet)
    except av.error.FFmpegError as exc:
        if decoder.is_hwaccel and not isinstance(exc, av.error.InvalidDataError):
            raise  # not the file's fault
        return []


@dataclass(frozen=True, slots=True)
class Orientation:
    """How the display turns a coded picture: mirrored left to right or not, then clockwise."""

    turn_deg: Literal[0, 90, 180, 270]
    filters: tuple[str, ...]
    """The same for libavfilter."""


UPRIGHT = Orientation(0, ())
# By the signs of the display matrix's a, b, c, d: a picture's point (x, y) is shown at (ax + cy, bx + dy).
ORIENTATIONS = {
    (1, 0, 0, 1): UPRIGHT,
    (0, 1, -1, 0): Orientation(90, ("transpose=clock",)),
    (-1, 0, 0, -1): Orientation(180, ("hflip", "vflip")),
    (0, -1, 1, 0): Orientation(270, ("transpose=cclock",)),
    (-1, 0, 0, 1): Orientation(0, ("hflip",)),
    (0, -1, -1, 0): Orientation(90, ("transpose=clock_flip",)),
    (1, 0, 0, -1): Orientation(180, ("vflip",)),
    (0, 1, 1, 0): Orientation(270, ("transpose=cclock_flip",)),
}
TURNS = ((1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0))
"""Of these, those by 0, 90, 180 and 270 degrees clockwise."""


def orientation(frame: VideoFrame) -> Orientation:
    """The orientation that a picture's display matrix asks for, to the nearest right angle."""
    try:
        # frame.side_data would make the frame refer to what refers to it: its pixels would stay until a collection.
        matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]  # missing in PyAV's stubs
    except ValueError:  # beside it lies something, such as Exif, that PyAV has no name for
        return ORIENTATIONS[TURNS[round(-frame.rotation / 90) % 4]]
    if not isinstance(matrix, SideData):
        return UPRIGHT
    a, b, _, c, d = DISPLAY_MATRIX.unpack_from(matrix)
    if abs(a) + abs(d) < abs(b) + abs(c):
        a = d = 0
    else:
        b = c = 0
    signs = tuple((value > 0) - (value < 0) for value in (a, b, c, d))
    return ORIENTATIONS.get(signs, UPRIGHT)
