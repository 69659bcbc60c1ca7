"""Opening a file from outside with libav; used inside the child processes only."""

from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

# Playlists, image sequences and text are formats that read other files: only these are opened.
FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf"


def open_video(path: str) -> InputContainer:
    """Open a local file of a supported container.

    Raises:
        av.error.FFmpegError: the file is damaged or of another format.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "max_streams": "64"}
    return av.open(f"file:{path}", options=options, metadata_errors="replace")


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures; cover art is none."""
    moving = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    return next(moving, None)


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """A decoded picture and its presentation time in ticks of the stream."""

    frame: VideoFrame
    pts: int


def decode_frames(container: InputContainer, stream: VideoStream) -> Iterator[TimedFrame]:
    """Decode what can be decoded, in presentation order; damaged packets are passed over.

    A frame without a presentation time gets its decoding time; without either it is left out.
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        for frame in frames:
            pts = frame.dts if frame.pts is None else frame.pts
            if isinstance(frame, VideoFrame) and pts is not None:
                yield TimedFrame(frame, pts)


def clockwise_turn_deg(frame: VideoFrame) -> int:
    """The turn that the display applies to a coded picture, to the nearest right angle: 0, 90, 180 or 270."""
    return round(-frame.rotation / 90) % 4 * 90
