"""Asks a confined child process what a video file holds, and turns its refusals into errors."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from byte_ranges import ByteRange
from errors import EncryptedVideo, MediaError, NoFrames, NoVideoStream, UnsupportedCodec, VideoTooLarge, VideoTooLong
from frames.missing import BytesMissing
from frames.reader_pool import PROBE, VideoReaders
from own_thread import in_own_thread
from protocol import MAX_PICTURE_PIXELS, MAX_PICTURES, MAX_STREAMS, ProbeReply, RangesReply, Refusal
from records import VideoInfo
from strict_json import InvalidMessage

REFUSALS: Mapping[Refusal, tuple[type[MediaError], str]] = {
    Refusal.UNREADABLE: (MediaError, "The file is not a video of a supported format, or it is damaged."),
    Refusal.NO_VIDEO_STREAM: (NoVideoStream, "The file holds no moving pictures."),
    Refusal.ENCRYPTED: (EncryptedVideo, "The video is encrypted."),
    Refusal.UNSUPPORTED_CODEC: (UnsupportedCodec, "The video's codec is not supported."),
    Refusal.TOO_LARGE: (
        VideoTooLarge,
        f"The video's pictures are larger than {MAX_PICTURE_PIXELS // 1_000_000} megapixels.",
    ),
    Refusal.TOO_MANY_PICTURES: (
        VideoTooLong,
        f"The video has more than {MAX_PICTURES // 1_000_000} million pictures.",
    ),
    Refusal.TOO_MANY_STREAMS: (MediaError, f"The file has {MAX_STREAMS} streams or more: keep those that are needed."),
    Refusal.NO_FRAMES: (NoFrames, "No picture of the video could be decoded."),
    Refusal.NOT_CONVERTIBLE: (UnsupportedCodec, "The video's pictures have a pixel format that is not supported."),
    Refusal.MISSING_BYTES: (BytesMissing, BytesMissing.SENTENCE),
}
"""The error and its message for every reason that a child gives."""


async def probe(path: Path, readers: VideoReaders, present: Sequence[ByteRange] = ()) -> VideoInfo:
    """Return what a child process found in a file; see FrameExtractor.get_video_info.

    Raises:
        MediaError: or one of its kinds; the file cannot be used, or the child failed.
    """
    async with readers.take(PROBE) as reader:
        reader.begin(path, RangesReply(tuple(present)).to_json() if present else "")
        reply = await in_own_thread(lambda: reader.read_all(readers.probe_timeout_s(path)))
    try:
        outcome = ProbeReply.from_json(reply).outcome
    except InvalidMessage as exc:
        raise MediaError("The process that reads the video did not describe it.") from exc
    if isinstance(outcome, Refusal):
        kind, sentence = REFUSALS[outcome]
        raise kind(sentence)
    return replace(outcome, present=tuple(present))
