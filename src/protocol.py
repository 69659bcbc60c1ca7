"""What the worker and its confined child processes say to each other; both sides import this file.

sandbox.confine starts a child with an envelope that holds the path of the video and whether the GPU may be used. The
rest of the conversation is defined here:

    decoder.probe    child to worker: a ProbeReply as JSON
    decoder.decode   worker to child: a DecodeOrder as JSON
                     child to worker: for each picture a PictureHeader and height_px * width_px * 3 bytes of RGB,
                     then a PictureHeader with a count of 0, then DecodeStats
    decoder.ranges   worker to child: a DecodeOrder as JSON
                     child to worker: a RangesReply as JSON, the bytes that decoder.decode reads for that order

Of a file that was fetched in parts, decoder.probe gets the parts as a RangesReply, and decoder.decode gets them in its
order. Where they would have to look at anything else, they say so: by a refusal, and in the last PictureHeader.

The child parses files from outside, so the worker trusts none of its replies: everything is checked as it is read.
Fractions travel as "n/d".
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import asdict, dataclass
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Literal, Self, cast, get_args

from byte_ranges import ByteRange
from records import Edit, Notice, OtherStream, Part, SampleGrid, Timing, UnseenReason, VideoInfo
from strict_json import INT64_MAX, CheckedFields, InvalidMessage, parse_object


@dataclass(frozen=True, slots=True)
class Codec:
    """How a codec is decoded."""

    decoder: str
    """The name of libav's decoder for it."""
    on_gpu: bool = False
    """libav can decode it on the GPU, and its standard leaves no pixel to the decoder's choice."""


CODECS = {
    "h264": Codec("h264", on_gpu=True),
    "hevc": Codec("hevc", on_gpu=True),
    "av1": Codec("libdav1d"),  # which uses no GPU
    "vp8": Codec("vp8"),
    "vp9": Codec("vp9", on_gpu=True),
    "theora": Codec("theora"),
    "prores": Codec("prores"),
    "mjpeg": Codec("mjpeg"),
    "mpeg1video": Codec("mpeg1video"),
    "mpeg2video": Codec("mpeg2video"),
    "mpeg4": Codec("mpeg4"),
    "msmpeg4v1": Codec("msmpeg4v1"),
    "msmpeg4v2": Codec("msmpeg4v2"),
    "msmpeg4v3": Codec("msmpeg4"),
    "h263": Codec("h263"),
    "wmv1": Codec("wmv1"),
    "wmv2": Codec("wmv2"),
    "wmv3": Codec("wmv3"),
    "vc1": Codec("vc1"),
    "flv1": Codec("flv"),
    "vp6": Codec("vp6"),
    "vp6f": Codec("vp6f"),
}
"""The supported codecs by their names in libav. decoder.bitstream.PARSERS holds what is known of their headers."""
DECODERS = ",".join(codec.decoder for codec in CODECS.values())
"""libav's whitelist: only these decoders may look into a file while it is opened; none is for sound."""
GPU_CODECS = frozenset(name for name, codec in CODECS.items() if codec.on_gpu)
MAX_STREAMS = 1000
"""A file with as many streams is refused: where libav may not make another one, it loses packets of the others. This is
its own limit, and films with 70 tracks of sound and subtitles are not rare."""
MAX_PARTS = 100
"""The most files inside a file, and changes of stream, that are read."""
MAX_EDITS = 300
"""The most stretches of a stream that a film is put together of; later ones are not decoded."""
MAX_OTHER_STREAMS = 100
"""The most that are named."""
MAX_PICTURE_PIXELS = 36_000_000
"""A little more than 8K."""
MAX_PICTURES = 25_000_000
"""A day at 289 pictures per second."""
OPENING_BYTES = 5_000_000
"""How much libav reads of a file's packets as it opens it, to find out what its streams are: libav's own value."""
MAX_RANGES = 200
"""The most parts of a file that are told apart."""
SEEK_RETREATS_S = (0, 10, 60)
"""How far before the wanted time to seek, in seconds, tried in this order: some formats find any packet instead of a
keyframe."""


class Refusal(StrEnum):
    """Why a file cannot be used."""

    UNREADABLE = "unreadable"
    NO_VIDEO_STREAM = "no_video_stream"
    ENCRYPTED = "encrypted"
    UNSUPPORTED_CODEC = "unsupported_codec"
    TOO_LARGE = "too_large"
    TOO_MANY_PICTURES = "too_many_pictures"
    TOO_MANY_STREAMS = "too_many_streams"
    NO_FRAMES = "no_frames"
    NOT_CONVERTIBLE = "not_convertible"
    MISSING_BYTES = "missing_bytes"
    """The file was fetched in parts, and these do not tell."""


@dataclass(frozen=True, slots=True)
class ProbeReply:
    """What decoder.probe found."""

    outcome: VideoInfo | Refusal

    def to_json(self) -> str:
        """The reply as one JSON object."""
        if isinstance(self.outcome, Refusal):
            return json.dumps({"refused": self.outcome})
        return json.dumps({"info": _as_json(self.outcome)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read and check a reply.

        Raises:
            InvalidMessage: it is not a reply.
        """
        reply = parse_object(text)
        if reply.keys() == {"refused"} and reply["refused"] in list(Refusal):
            return cls(Refusal(reply["refused"]))
        if reply.keys() == {"info"}:
            return cls(_video_info(reply["info"]))
        raise InvalidMessage("neither a description of a video nor a refusal")


@dataclass(frozen=True, slots=True)
class RangesReply:
    """Parts of a file; none stand for all of it."""

    ranges: tuple[ByteRange, ...]

    def to_json(self) -> str:
        """The ranges as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read and check ranges; they are ascending, and neither empty nor do they overlap.

        Raises:
            InvalidMessage: they are not ranges.
        """
        return cls(_byte_ranges(CheckedFields(parse_object(text), cls), "ranges"))


@dataclass(frozen=True, slots=True)
class DecodeOrder:
    """Deliver the pictures on screen k / grid.fps seconds after the first one, for start <= k < stop."""

    info: VideoInfo
    grid: SampleGrid
    """Its origin is the time of the video's first picture."""
    start: int
    stop: int
    threads: int
    skip_loop_filter: bool
    """Faster, at the cost of a small difference in the pixels."""
    keyframes_only: bool
    """Decode intra pictures alone: the first one that starts in each interval between two instants, if any. It serves
    until the next one."""
    chunk_starts: tuple[int, ...] = ()
    """With keyframes_only: from each of these instants to the next one there is a picture even if no intra picture
    starts there: the one on screen at that instant. They are ascending."""

    @property
    def picture_bytes(self) -> int:
        """Size of a delivered picture."""
        return 3 * self.grid.height_px * self.grid.width_px

    def to_json(self) -> str:
        """The order as one JSON object."""
        return json.dumps({**_as_json(self), "info": _as_json(self.info), "grid": _as_json(self.grid)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read and check an order.

        Raises:
            InvalidMessage: it is not an order.
        """
        order = CheckedFields(parse_object(text), cls)
        grid = CheckedFields(order.value("grid"), SampleGrid)
        return cls(
            info=_video_info(order.value("info")),
            grid=SampleGrid(
                origin_s=grid.seconds("origin_s"),
                fps=grid.fraction("fps"),
                height_px=grid.integer("height_px", 1),
                width_px=grid.integer("width_px", 1),
            ),
            start=order.integer("start", -INT64_MAX),
            stop=order.integer("stop", -INT64_MAX),
            threads=order.integer("threads", 1),
            skip_loop_filter=order.flag("skip_loop_filter"),
            keyframes_only=order.flag("keyframes_only"),
            chunk_starts=order.integers("chunk_starts", -INT64_MAX),
        )


REASONS = (None, UnseenReason.DAMAGED, UnseenReason.MISSING)
"""The reasons that a decoder gives, by their numbers in the header of a picture."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """Precedes the pixels of one delivered picture."""

    FORMAT: ClassVar = struct.Struct("<qqdB")
    SIZE_BYTES: ClassVar = FORMAT.size

    first: int
    """The index of the first instant that the picture serves."""
    count: int
    """How many instants it serves; 0 after the last picture, where no pixels follow."""
    time_s: float
    """The picture's own presentation time, counted from the first instant of the grid."""
    unseen: UnseenReason | None
    """Why the picture does not show what was to be seen at these instants. After the last picture: MISSING if the
    decoder would have had to read what was not fetched; then no DecodeStats follow, and not all pictures came."""

    def to_bytes(self) -> bytes:
        """The header as SIZE_BYTES bytes."""
        return self.FORMAT.pack(self.first, self.count, self.time_s, REASONS.index(self.unseen))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read and check SIZE_BYTES bytes.

        Raises:
            InvalidMessage: they are not a header.
        """
        first, count, time_s, reason = cls.FORMAT.unpack(content)
        if count < 0 or not math.isfinite(time_s) or reason >= len(REASONS):
            raise InvalidMessage("not the header of a picture")
        return cls(first, count, time_s, REASONS[reason])


@dataclass(slots=True)
class DecodeStats:
    """What the decoder did; the first three are 0 where it decoded every packet, or keyframes alone."""

    FORMAT: ClassVar = struct.Struct("<qqqq")
    SIZE_BYTES: ClassVar = FORMAT.size

    packets_read: int = 0
    packets_decoded: int = 0
    closed_gops: int = 0
    """Groups of pictures that were decoded by themselves."""
    with_bars: int = 0
    """Delivered pictures of another shape than the video's first one; bars fill the rest of the frame."""

    def to_bytes(self) -> bytes:
        """The counts as SIZE_BYTES bytes."""
        return self.FORMAT.pack(self.packets_read, self.packets_decoded, self.closed_gops, self.with_bars)

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read and check SIZE_BYTES bytes.

        Raises:
            InvalidMessage: they are not counts.
        """
        counts = cls.FORMAT.unpack(content)
        if min(counts) < 0:
            raise InvalidMessage("not the counts of a decoder")
        return cls(*counts)


def _as_json(record: VideoInfo | SampleGrid | DecodeOrder) -> dict[str, object]:
    """The fields of a record, with fractions as "n/d"."""
    return {
        name: f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else value
        for name, value in asdict(record).items()
    }


def _video_info(message: object) -> VideoInfo:
    info = CheckedFields(message, VideoInfo)
    codec, rotation_deg = info.word("codec"), info.integer("rotation_deg", 0, 270)
    if codec not in CODECS or rotation_deg % 90:
        raise InvalidMessage(f"codec {codec!r}, rotation_deg {rotation_deg}")
    if (timing := info.word("timing")) not in get_args(Timing):
        raise InvalidMessage(f"timing {timing!r}")
    return VideoInfo(
        start_s=info.seconds("start_s"),
        duration_s=info.seconds("duration_s", can_be_zero=False),
        fps=info.fraction("fps"),
        num_frames=info.integer("num_frames", 1, MAX_PICTURES),
        width_px=info.integer("width_px", 1),
        height_px=info.integer("height_px", 1),
        rotation_deg=cast("Literal[0, 90, 180, 270]", rotation_deg),
        codec=codec,
        pixel_format=info.word("pixel_format"),
        container=info.word("container"),
        bit_rate_bps=info.integer("bit_rate_bps", -INT64_MAX),
        variable_frame_rate=info.flag("variable_frame_rate"),
        truncated=info.flag("truncated"),
        missing_s=info.seconds("missing_s"),
        size_bytes=info.integer("size_bytes", 0),
        stream_index=info.integer("stream_index", 0, MAX_STREAMS - 1),
        first_pts=info.integer("first_pts", -INT64_MAX),
        time_base_s=info.fraction("time_base_s"),
        pixel_aspect=info.fraction("pixel_aspect"),
        seekable=info.flag("seekable"),
        timing=cast("Timing", timing),
        last_pts=info.integer("last_pts", -INT64_MAX),
        parts=tuple(map(_part, info.items("parts", MAX_PARTS))),
        unread_parts=info.integer("unread_parts", 0),
        edits=tuple(map(_edit, info.items("edits", MAX_EDITS))),
        notices=cast("tuple[Notice, ...]", info.words("notices", get_args(Notice))),
        other_streams=tuple(map(_other_stream, info.items("other_streams", MAX_OTHER_STREAMS))),
        sound_after_s=info.seconds("sound_after_s"),
        present=_byte_ranges(info, "present"),
    )


def _byte_ranges(fields: CheckedFields, name: str) -> tuple[ByteRange, ...]:
    ranges: list[ByteRange] = []
    for message in fields.items(name, MAX_RANGES):
        one = CheckedFields(message, ByteRange)
        start = one.integer("start", ranges[-1].stop if ranges else 0)
        ranges.append(ByteRange(start, one.integer("stop", start + 1)))
    return tuple(ranges)


def _part(message: object) -> Part:
    part = CheckedFields(message, Part)
    return Part(
        start_byte=part.integer("start_byte", 0),
        stop_byte=part.integer("stop_byte", 0),
        stream=part.integer("stream", 0, MAX_STREAMS - 1),
        first_byte=part.integer("first_byte", 0),
        end_byte=part.integer("end_byte", 0),
        has_late_streams=part.flag("has_late_streams"),
    )


def _edit(message: object) -> Edit:
    edit = CheckedFields(message, Edit)
    start_pts, media_pts = edit.integer("start_pts", -INT64_MAX), edit.integer("media_pts", -INT64_MAX)
    return Edit(
        start_pts=start_pts,
        stop_pts=edit.integer("stop_pts", start_pts + 1),
        media_pts=media_pts,
        media_stop_pts=edit.integer("media_stop_pts", media_pts),
    )


def _other_stream(message: object) -> OtherStream:
    stream = CheckedFields(message, OtherStream)
    return OtherStream(
        index=stream.integer("index", 0, MAX_STREAMS - 1),
        codec=stream.word("codec"),
        width_px=stream.integer("width_px", 0),
        height_px=stream.integer("height_px", 0),
        num_frames=stream.integer("num_frames", 0),
    )
