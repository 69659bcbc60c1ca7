"""Opens a file from outside, or a file inside it, with libav."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from protocol import DECODERS, MAX_PICTURE_PIXELS, MAX_STREAMS
from records import Part

# Playlists, image sequences and text are formats that read other files: only these are opened.
FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf"
PROTOCOL: Final = "file"
URL = re.compile(rf"(?:subfile,,start,(\d+),end,\d+,,:)?{PROTOCOL}:(.*)", re.DOTALL)
WHOLE_FILE: Final = {
    "probesize": str(2**62),
    "analyzeduration": str(2**62),
    "fflags": "+nobuffer",
    "scan_all_pmts": "1",
}
"""libav looks for streams until the end of the file, in every program of a transport stream, and keeps no packet."""


def open_video(
    path: str, hwaccel: HWAccel | None = None, part: Part | None = None, *, max_streams: int = MAX_STREAMS
) -> InputContainer:
    """Open a local file of a supported container.

    Args:
        path: local file.
        hwaccel: the accelerator that its decoders use where they can.
        part: the file inside it that is opened, or None for all of it. If some of its streams appear late, the whole
            part is read before. PyAV's demux goes by a table that is as long as the number of streams at its start, and
            reads past it for later ones.
        max_streams: libav's limit.

    Raises:
        av.error.FFmpegError: the file is damaged or of another format.
    """
    url, protocols = f"{PROTOCOL}:{path}", PROTOCOL
    if part is not None and (part.start_byte or part.stop_byte < Path(path).stat().st_size):
        url, protocols = f"subfile,,start,{part.start_byte},end,{part.stop_byte},,:{url}", f"{PROTOCOL},subfile"
    options = {
        "protocol_whitelist": protocols,
        "format_whitelist": FORMATS,
        "codec_whitelist": DECODERS,
        "max_streams": str(max_streams),
    }
    has_late_streams = part is not None and part.has_late_streams
    if has_late_streams:
        options |= WHOLE_FILE
    container = av.open(url, options=options, metadata_errors="replace", hwaccel=hwaccel)
    for stream in container.streams.video:
        if stream.codec_context:  # libav knows the codec
            stream.codec_context.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}
    if has_late_streams:
        container.seek(0, unsupported_byte_offset=True)
    return container


def place_of(container: InputContainer) -> tuple[Path, int]:
    """The local file that a container was opened from, and the byte in it at which the container starts."""
    match = URL.fullmatch(container.name)
    assert match
    return Path(match[2]), int(match[1] or 0)
