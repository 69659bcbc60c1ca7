"""Opens a file from outside with libav, and chooses its video stream."""

from __future__ import annotations

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from protocol import DECODERS, MAX_PICTURE_PIXELS, MAX_STREAMS

# Playlists, image sequences and text are formats that read other files: only these are opened.
FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf"


def open_video(path: str, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a local file of a supported container.

    Args:
        path: local file.
        hwaccel: the accelerator that its decoders use where they can.

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


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures, which cover art and the still pictures of HEIF files are not."""
    return next((stream for stream in container.streams.video if not _is_still(stream)), None)


def _is_still(stream: VideoStream) -> bool:
    is_heif_item = stream.frames == 1 and stream.duration is None and stream.time_base == 1  # no track has such a clock
    return is_heif_item or bool(stream.disposition & Disposition.attached_pic)
