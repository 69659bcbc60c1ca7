"""Program: `python -m media.decode PLAN` writes the pictures on screen at a grid of instants to stdout.

PLAN is the JSON of a DecodePlan; media.wire describes both sides. Records leave in time order, and
decoding waits while nobody reads.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from media.needed import needed_packets, references_of
from media.picture import PictureConverter
from media.source import Select, TimedFrame, decode_frames, open_video
from media.wire import RECORD, UNTIMED_FORMATS, DecodePlan

SEEK_RETREATS_S = (Fraction(0), Fraction(10), Fraction(60))
"""How far before the wanted time to seek, one after the other: some formats find any packet, not a keyframe."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and the instants from `first` to before `stop` at which it is on screen."""

    picture: TimedFrame
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


def needed_for(stream: VideoStream, grid: Grid, plan: DecodePlan) -> Select | None:
    """Chooses the packets that the wanted pictures need; None for all."""
    if plan.keyframes_only:
        return None

    def wants(pts: int, until_pts: int | None) -> bool:
        first = grid.first_index_from(pts)
        if until_pts is None or first >= plan.stop:  # the first picture behind the end tells that there are no more
            return True
        return max(first, plan.start) < min(grid.first_index_from(until_pts), plan.stop)

    context = stream.codec_context
    references = references_of(context.codec.canonical_name, context.extradata or b"")
    return partial(needed_packets, wants=wants, references=references)


def shown_at_instants(frames: Iterator[TimedFrame], grid: Grid, plan: DecodePlan) -> Iterator[Shown]:
    """Pair pictures with the instants at which they are on screen.

    A picture stays until the next one's time; the last one until its own duration is over, which is
    the usual time between pictures at least: containers without durations make libav guess.
    """
    held: TimedFrame | None = None
    wanted = plan.start
    for timed in frames:
        if held is not None and timed.pts <= held.pts:
            continue
        until = min(grid.first_index_from(timed.pts), plan.stop)
        if held is not None and until > wanted:
            yield Shown(held, wanted, until)
        wanted = max(wanted, until)
        held = timed
        if wanted >= plan.stop:
            return
    if held is not None:
        stays = max(held.frame.duration, grid.picture_ticks)
        until = min(grid.first_index_from(held.pts + stays), plan.stop)
        if until > wanted:
            yield Shown(held, wanted, until)


def keyframes_in_intervals(frames: Iterator[TimedFrame], grid: Grid, plan: DecodePlan) -> Iterator[Shown]:
    """Pair each interval of the grid with the first intra picture that starts in it."""
    wanted = plan.start
    for timed in frames:
        if not timed.frame.key_frame:
            continue
        interval = grid.last_index_until(timed.pts)
        if interval >= plan.stop:
            return
        if interval >= wanted:
            yield Shown(timed, interval, interval + 1)
            wanted = interval + 1


def frames_from(plan: DecodePlan, grid: Grid) -> Iterator[TimedFrame]:
    """Decode from a keyframe at or before the first wanted instant, from the file's start if there is none."""
    target_pts = grid.pts_of(plan.start)
    with open_video(plan.path) as container:
        if plan.start > 0 and container.format.name not in UNTIMED_FORMATS:
            stream = _prepare(container, plan)
            for retreat_s in SEEK_RETREATS_S:
                select = needed_for(stream, grid, plan)
                frames = _frames_after(container, stream, target_pts - grid.ticks(retreat_s), select)
                first = next(frames, None)
                if first is not None and first.pts <= target_pts:
                    yield first
                    yield from frames
                    return
    with open_video(plan.path) as container:
        stream = _prepare(container, plan)
        yield from decode_frames(container, stream, needed_for(stream, grid, plan))


def _prepare(container: InputContainer, plan: DecodePlan) -> VideoStream:
    stream = container.streams[plan.stream_index]
    assert isinstance(stream, VideoStream)  # the scan chose it
    stream.codec_context.thread_count = plan.threads
    stream.thread_type = "AUTO"
    if plan.keyframes_only and container.format.name not in UNTIMED_FORMATS:
        stream.codec_context.skip_frame = "NONKEY"
    return stream


def _frames_after(
    container: InputContainer, stream: VideoStream, pts: int, select: Select | None
) -> Iterator[TimedFrame]:
    """Seek, and decode from the first keyframe there; what leads it has lost its references."""
    try:
        container.seek(pts, stream=stream)
    except av.error.FFmpegError:
        return
    key_pts = None
    for timed in decode_frames(container, stream, select):
        if key_pts is None and timed.frame.key_frame:
            key_pts = timed.pts
        if key_pts is not None and timed.pts >= key_pts:
            yield timed


def main() -> None:
    """Write the planned pictures to stdout."""
    plan = DecodePlan(**json.loads(sys.argv[1]))
    grid = Grid(plan)
    pair = keyframes_in_intervals if plan.keyframes_only else shown_at_instants
    converter = PictureConverter(plan.height_px, plan.width_px)
    for shown in pair(frames_from(plan, grid), grid, plan):
        header = RECORD.pack(shown.first, shown.stop - shown.first, grid.seconds(shown.picture.pts))
        _write(header)
        _write(converter.convert(shown.picture.frame).data.cast("B"))


def _write(part: bytes | memoryview) -> None:
    while part:
        part = part[os.write(1, part) :]


if __name__ == "__main__":
    main()
