"""Opens a file from outside, or a file inside it, with libav."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.video.stream import VideoStream

from protocol import DECODERS, MAX_PICTURE_PIXELS, MAX_STREAMS, OPENING_BYTES
from records import Part

# Playlists, image sequences and text are formats that read other files: only these are opened.
FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf"
PROTOCOL: Final = "file"
ANY_SIZE_PX: Final = 16
"""Stands for the size of pictures that is not known before they are decoded."""
URL = re.compile(rf"(?:subfile,,start,(\d+),end,\d+,,:)?{PROTOCOL}:(.*)", re.DOTALL)
WHOLE_FILE: Final = {
    "probesize": str(2**62),
    "analyzeduration": str(2**62),
    "fflags": "+nobuffer",
    "scan_all_pmts": "1",
}
"""libav looks for streams until the end of the file, in every program of a transport stream, and keeps no packet."""


def open_video(
    path: str,
    hwaccel: HWAccel | None = None,
    part: Part | None = None,
    *,
    max_streams: int = MAX_STREAMS,
    obeys_edits: bool = True,
) -> InputContainer:
    """Open a local file of a supported container.

    Args:
        path: local file.
        hwaccel: the accelerator that its decoders use where they can.
        part: the file inside it that is opened, or None for all of it. If some of its streams appear late, the whole
            part is read before. PyAV's demux goes by a table that is as long as the number of streams at its start, and
            reads past it for later ones.
        max_streams: libav's limit.
        obeys_edits: libav applies the edit lists of an MP4; otherwise packets have the times of their streams.

    Raises:
        av.error.FFmpegError: the file is damaged or of another format.
    """
    container = _open(path, hwaccel, part, max_streams, obeys_edits=obeys_edits)
    for stream in container.streams.video:
        context = stream.codec_context
        if context is None:  # libav does not know the codec
            continue
        context.options = {"max_pixels": str(MAX_PICTURE_PIXELS)}
        if context.codec.canonical_name == "av1" and _exceeds_limit(stream):
            # This is the largest size that the sequence allows. Pictures are judged by their own; keyframes repeat the
            # header without which the decoder can be opened.
            context.width = context.height = ANY_SIZE_PX
            context.extradata = None
    if part is not None and part.has_late_streams:
        container.seek(0, unsupported_byte_offset=True)
    return container


def has_large_header(path: str, part: Part) -> bool:
    """Whether the header of a part's stream says that its pictures may be larger than is allowed."""
    with _open(path, None, part, MAX_STREAMS) as container:
        stream = container.streams[part.stream]
        return isinstance(stream, VideoStream) and _exceeds_limit(stream)


def _exceeds_limit(stream: VideoStream) -> bool:
    context = stream.codec_context
    return context is not None and context.width * context.height > MAX_PICTURE_PIXELS


def _open(
    path: str, hwaccel: HWAccel | None, part: Part | None, max_streams: int, *, obeys_edits: bool = True
) -> InputContainer:
    url, protocols = f"{PROTOCOL}:{path}", PROTOCOL
    if part is not None and (part.start_byte or part.stop_byte < Path(path).stat().st_size):
        url, protocols = f"subfile,,start,{part.start_byte},end,{part.stop_byte},,:{url}", f"{PROTOCOL},subfile"
    options = {
        "protocol_whitelist": protocols,
        "format_whitelist": FORMATS,
        "codec_whitelist": DECODERS,
        "max_streams": str(max_streams),
        "probesize": str(OPENING_BYTES),
    }
    if part is not None and part.has_late_streams:
        options |= WHOLE_FILE
    if not obeys_edits:
        options["ignore_editlist"] = "1"
    return av.open(url, options=options, metadata_errors="replace", hwaccel=hwaccel)


def place_of(container: InputContainer) -> tuple[Path, int]:
    """The local file that a container was opened from, and the byte in it at which the container starts."""
    match = URL.fullmatch(container.name)
    assert match
    return Path(match[2]), int(match[1] or 0)
