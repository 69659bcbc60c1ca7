"""Writes the pictures on screen at a grid of instants to stdout; run by sandbox.confine.

protocol describes plan and records. Records leave in time order, and decoding waits while nobody reads.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from decoder.container.open import TimedFrame, decode_frames, open_video
from decoder.container.packets import Packets, is_untimed
from decoder.convert.rgb import PictureConverter
from decoder.gop.pool import Converted, Decoders, planned_stream, side_by_side
from decoder.gop.select import Instants, Piece, references_of
from decoder.gop.split import needed_pieces
from protocol import RECORD, SUMMARY, DecodePlan

SEEK_RETREATS_S = (Fraction(0), Fraction(10), Fraction(60))
"""How far before the wanted time to seek, one after the other: some formats find any packet, not a keyframe."""


Picture: TypeAlias = TimedFrame | Converted


@dataclass(slots=True)
class Tally:
    """What was done, see protocol.SUMMARY; nothing is counted where all packets, or keyframes alone, are decoded."""

    packets: int = 0
    decoded: int = 0
    groups: int = 0

    def reading(self, packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        """Count packets as they pass."""
        for packet in packets:
            self.packets += 1
            yield packet

    def decoding(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Count pieces as they pass."""
        for piece in pieces:
            self.decoded += len(piece.packets)
            self.groups += piece.is_whole
            yield piece


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and the instants from `first` to before `stop` at which it is on screen."""

    picture: Picture
    first: int
    stop: int


class Grid:
    """Exact arithmetic between a stream's ticks and the sampling instants."""

    def __init__(self, plan: DecodePlan) -> None:
        self._first_pts = plan.first_pts
        self._time_base_s = Fraction(plan.time_base_s)
        self._instants_per_tick = self._time_base_s * Fraction(plan.fps)
        self.picture_ticks = self.ticks(1 / Fraction(plan.video_fps))
        """The mean time from one picture to the next."""

    def first_index_from(self, pts: int) -> int:
        """The index of the first instant at or after a presentation time."""
        scaled = (pts - self._first_pts) * self._instants_per_tick.numerator
        return -(-scaled // self._instants_per_tick.denominator)

    def last_index_until(self, pts: int) -> int:
        """The index of the last instant at or before a presentation time."""
        return (pts - self._first_pts) * self._instants_per_tick.numerator // self._instants_per_tick.denominator

    def pts_of(self, index: int) -> int:
        """The last tick at or before an instant."""
        return self._first_pts + index * self._instants_per_tick.denominator // self._instants_per_tick.numerator

    def ticks(self, seconds: Fraction) -> int:
        """Whole ticks that last at least this long."""
        return math.ceil(seconds / self._time_base_s)

    def seconds(self, pts: int) -> float:
        """Seconds from the first instant."""
        return float((pts - self._first_pts) * self._time_base_s)


def shown_at_instants(pictures: Iterator[Picture], grid: Grid, plan: DecodePlan) -> Iterator[Shown]:
    """Pair pictures with the instants at which they are on screen.

    A picture stays until the next one's time; the last one until its own duration is over, which is
    the usual time between pictures at least: containers without durations make libav guess.
    """
    held: Picture | None = None
    wanted = plan.start
    for picture in pictures:
        if held is not None and picture.pts <= held.pts:
            continue
        until = min(grid.first_index_from(picture.pts), plan.stop)
        if held is not None and until > wanted:
            yield Shown(held, wanted, until)
        wanted = max(wanted, until)
        held = picture
        if wanted >= plan.stop:
            return
    if held is not None:
        stays = max(held.duration, grid.picture_ticks)
        until = min(grid.first_index_from(held.pts + stays), plan.stop)
        if until > wanted:
            yield Shown(held, wanted, until)


def keyframes_in_intervals(pictures: Iterator[Picture], grid: Grid, plan: DecodePlan) -> Iterator[Shown]:
    """Pair the first intra picture that starts in an interval of the grid with the instants until the next one."""
    held: Picture | None = None
    first = plan.start
    for timed in pictures:
        if isinstance(timed, Converted) or not timed.frame.key_frame:
            continue
        interval = grid.last_index_until(timed.pts)
        if interval >= plan.stop:
            break
        if interval >= first + (held is not None):
            if held is not None:
                yield Shown(held, first, interval)
            held, first = timed, interval
    if held is not None:
        yield Shown(held, first, plan.stop)


def pictures_from(plan: DecodePlan, grid: Grid, tally: Tally) -> Iterator[Picture]:
    """Decode from a keyframe at or before the first wanted instant, from the file's start if there is none."""
    target_pts = grid.pts_of(plan.start)
    for retreat_s in SEEK_RETREATS_S if plan.start > 0 and plan.seekable else ():
        with open_video(plan.path) as container:
            pictures = _pictures_after(container, target_pts - grid.ticks(retreat_s), plan, grid, tally)
            first = next(pictures, None)
            if first is not None and first.pts <= target_pts:
                yield first
                yield from pictures
                return
    with open_video(plan.path) as container:
        yield from _pictures(container, plan, grid, tally)


def _pictures_after(
    container: InputContainer, pts: int, plan: DecodePlan, grid: Grid, tally: Tally
) -> Iterator[Picture]:
    """Seek, and decode from the first keyframe there; what leads it has lost its references."""
    try:
        container.seek(pts, stream=container.streams[plan.stream_index])
    except av.error.FFmpegError:
        return
    key_pts = None
    for picture in _pictures(container, plan, grid, tally):
        if isinstance(picture, Converted):  # of a whole group: what follows it starts afresh, too
            key_pts = picture.pts if key_pts is None else key_pts
            yield picture
            continue
        if key_pts is None and picture.frame.key_frame:
            key_pts = picture.pts
        if key_pts is not None and picture.pts >= key_pts:
            yield picture


def _pictures(container: InputContainer, plan: DecodePlan, grid: Grid, tally: Tally) -> Iterator[Picture]:
    """Decode from where the file is read, all pictures or at least the wanted ones."""
    stream = planned_stream(container, plan, plan.threads)
    context = stream.codec_context
    if is_untimed(stream):
        yield from decode_frames(container, stream)
    elif plan.keyframes_only:
        context.skip_frame = "NONKEY"
        yield from decode_frames(container, stream)
    else:
        references = references_of(context.codec.canonical_name, context.extradata or b"")
        instants = Instants(grid.first_index_from, plan.start, plan.stop)
        pieces = needed_pieces(tally.reading(Packets(container, stream)), instants, references)
        decoders = Decoders(plan, side_by_side(plan.threads, context.height, context.width))
        yield from decoders.pictures(tally.decoding(pieces))


def main(argument: str) -> None:
    """Write the pictures of a DecodePlan, given as JSON, to stdout."""
    plan = DecodePlan(**json.loads(argument))
    grid, tally = Grid(plan), Tally()
    pair = keyframes_in_intervals if plan.keyframes_only else shown_at_instants
    converter = PictureConverter(plan.height_px, plan.width_px, plan.codec)
    for shown in pair(pictures_from(plan, grid, tally), grid, plan):
        picture = shown.picture
        pixels = picture.pixels if isinstance(picture, Converted) else converter.convert(picture.frame)
        _write(RECORD.pack(shown.first, shown.stop - shown.first, grid.seconds(picture.pts), picture.is_damaged))
        _write(pixels.data.cast("B"))
    _write(RECORD.pack(plan.stop, 0, 0.0, False) + SUMMARY.pack(tally.packets, tally.decoded, tally.groups))


def _write(part: bytes | memoryview) -> None:
    while part:
        part = part[os.write(1, part) :]
