"""Whether a file that was fetched in parts can be described as if all of it were there.

The times, sizes and places of an MP4's packets stand in its index; what else is said of a film is told by the packets
that libav and this program look at first. Where these are there and nothing else is looked at, holes change nothing.
"""

from __future__ import annotations

from typing import Final

from av.container import InputContainer

from decoder.bitstream.registry import parser_for
from decoder.container.formats import MP4
from decoder.container.open import open_video
from decoder.container.present import MissingBytes, Present
from decoder.container.streams import moving_streams
from protocol import OPENING_BYTES

CODECS: Final = frozenset(["h264", "hevc", "av1", "vp9", "mpeg4", "prores", "mjpeg"])
"""Those whose packets in an MP4 are the samples of its index. libav cuts those of others anew, by their content."""


def check_beginning(path: str, present: Present) -> None:
    """Make sure that nothing of what libav reads as it opens a file is missing, nor what all packets have to tell.

    Raises:
        MissingBytes: something is, or may be.
        av.error.FFmpegError: the file cannot be opened.
    """
    if present.is_all:
        return
    with open_video(path) as container:
        if container.format.name != MP4 or not _are_samples_packets(container):
            raise MissingBytes
        read_bytes = 0
        for packet in container.demux():
            if packet.size:
                present.check(packet)
                if read_bytes >= OPENING_BYTES:  # libav has stopped at this one at the latest
                    return
                read_bytes += packet.size


def _are_samples_packets(container: InputContainer) -> bool:
    """Whether every stream of moving pictures has one of CODECS, and none has fields, of which two may be a picture."""
    for stream in moving_streams(container):
        context = stream.codec_context
        if context is None or context.codec.canonical_name not in CODECS:
            return False
        if parser_for(context.codec.canonical_name, context.extradata or b"").may_have_fields:
            return False
    return True
