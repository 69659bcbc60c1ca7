"""A video: where it is, and what was read of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from byte_ranges import ByteRange


@dataclass(frozen=True, slots=True)
class LocalVideo:
    """A source on the local disk."""

    path: Path
    size_bytes: int
    present: tuple[ByteRange, ...] = ()
    """What of it was fetched, ascending; empty if that is all. The rest reads as zeros."""


@dataclass(frozen=True, slots=True)
class OtherStream:
    """A stream of pictures that is not the film."""

    index: int
    codec: str
    width_px: int
    height_px: int
    num_frames: int


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the film: one stream of a file, or of a file inside it, as long as it is that stream's turn."""

    start_byte: int
    """Where the file inside the file begins; 0 where it is all of it."""
    stop_byte: int
    stream: int
    """Its index."""
    first_byte: int
    """The packets that begin at or after this position count, as seen from start_byte."""
    end_byte: int
    """And those that begin before this one."""
    has_late_streams: bool
    """Some stream of the file appears only after the demuxer has opened it."""

    @property
    def size_bytes(self) -> int:
        """Of the file inside the file."""
        return self.stop_byte - self.start_byte


Timing = Literal["pts", "sparse_pts", "dts"]
"""How packets tell when their pictures are shown: each by its PTS, only some of them by a PTS, or by their DTS, which
are the pictures' times once they are sorted."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A stretch of the film, [start_pts, stop_pts), that shows a stretch of its stream. All in ticks of the stream."""

    start_pts: int
    stop_pts: int
    media_pts: int
    """The time in the stream that is on screen at start_pts."""
    media_stop_pts: int
    """And at stop_pts. It is media_pts where one picture stands still."""

    @property
    def is_still(self) -> bool:
        """One picture is on screen all the time."""
        return self.media_stop_pts == self.media_pts

    @property
    def rate(self) -> Fraction:
        """How fast the stream passes; 0 for a still."""
        return Fraction(self.media_stop_pts - self.media_pts, self.stop_pts - self.start_pts)

    def shown_pts(self, media_pts: int) -> int:
        """When a picture of the stream appears in the film; one that is on screen before the edit, at its start."""
        if self.is_still or media_pts <= self.media_pts:
            return self.start_pts
        since = media_pts - self.media_pts
        # At another speed than the stream's times are rounded, at most a tick down: a picture is never too late for an
        # instant that it is decoded for.
        return self.start_pts + (since if self.rate == 1 else math.floor((since - 1) / self.rate))


Notice = Literal["unknown_colours", "dolby_vision"]
"""What about the pictures themselves was assumed or changed; planning.NOTICES says it in words."""


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Facts about a file, from the packets of the stream, or the streams, that hold the film."""

    start_s: float
    """When the first picture appears on the container's clock, which starts at 0."""
    duration_s: float
    """From the first picture to the end of the last one."""
    fps: Fraction
    """Mean rate over the whole stream; a variable frame rate has no other single number."""
    num_frames: int
    """Pictures shown, counted in the packets; a damaged file decodes to fewer."""
    width_px: int
    """As displayed: after rotation and pixel aspect ratio."""
    height_px: int
    rotation_deg: Literal[0, 90, 180, 270]
    """Clockwise turn that the display applies to the coded pictures."""
    codec: str
    pixel_format: str
    container: str
    """The demuxer's names, as ffmpeg gives them: `mov,mp4,m4a,3gp,3g2,mj2`."""
    bit_rate_bps: int
    variable_frame_rate: bool
    truncated: bool
    """The file ends too early."""
    missing_s: float
    """Seconds that the container promises after its last picture; 0 also where that is unknown."""
    size_bytes: int
    stream_index: int
    first_pts: int
    """Presentation time of the first picture in ticks of time_base_s: the exact form of start_s."""
    time_base_s: Fraction
    seekable: bool
    """Decoding can start in the middle: every packet has a time, all on one clock, and one configuration decodes them
    all."""
    timing: Timing = "pts"
    last_pts: int = 0
    """When the last picture appears, in ticks of time_base_s. It may stay for long: see duration_s."""
    parts: tuple[Part, ...] = ()
    """What the film is read from, in order, where that is not one stream that a demuxer finds as it opens the file."""
    unread_parts: int = 0
    """Files inside the file of which nothing can be shown. What they lack is in missing_s."""
    other_streams: tuple[OtherStream, ...] = ()
    sound_after_s: float = 0.0
    """For how long sound goes on after the end that the container gives for the last picture."""
    edits: tuple[Edit, ...] = ()
    """What the film shows of its stream, in order, where libav does not read that rightly; the times above are those of
    the film. Nothing is shown between two edits."""
    notices: tuple[Notice, ...] = ()
    pixel_aspect: Fraction = Fraction(1)
    """Width of a coded pixel, divided by its height."""
    present: tuple[ByteRange, ...] = ()
    """See LocalVideo: what may be read of the file."""

    @property
    def is_joined(self) -> bool:
        """The film goes on in another stream, or in another file inside the file."""
        return len(self.parts) > 1

    @property
    def end_s(self) -> float:
        """When the last picture disappears."""
        return self.start_s + self.duration_s
