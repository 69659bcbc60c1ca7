"""When the pictures of a film are shown, from all its packets: headers lie."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from decoder.bitstream.registry import parser_for
from decoder.container.film import FilmPackets
from decoder.container.frames import TimedFrame
from decoder.container.pts import packet_pts
from protocol import MAX_PICTURES
from records import Timing

DURATION_TOLERANCE = Fraction(1, 10)
"""If the packets' durations add up to the time from the first picture to the last no better than this, libav guessed
them."""
SHORTEST_PICTURE_S = Fraction(1, 1000)
"""The least duration of the last picture; with it every video has a duration."""
CLOCK_JITTER_TICKS = 2
"""In a container's coarse clock even a constant rate jitters by this much."""


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no truth value
class PacketTimes:
    """When the pictures of a stream are shown, in ticks, as its packets say."""

    count: int
    last_pts: int
    """When the last picture appears."""
    end_pts: int
    """When it disappears, as far as the packets tell."""
    is_variable: bool
    timing: Timing
    is_cut_off: bool
    is_uniform: bool
    """Clock and configuration stay the same throughout."""
    has_losses: bool
    """Packets are missing in between."""
    pts: npt.NDArray[np.int64]
    """When each picture appears that has a time, ascending."""


def read_times(packets: FilmPackets, stream: VideoStream, timing: Timing, first: TimedFrame) -> PacketTimes | None:
    """Read all packets, and count those that no edit list hides and that are not shown before the first picture.

    Args:
        packets: of the film.
        stream: its first one.
        timing: what container and codec say of it.
        first: its first picture.

    Returns:
        None if there are more than MAX_PICTURES.
    """
    times, durations = array("q"), array("q")
    without_pts = trailing_without_pts = 0
    context = stream.codec_context
    parser = parser_for(context.codec.canonical_name, context.extradata or b"")
    for packet in packets:
        if parser.may_have_fields and parser.parse(bytes(packet)).is_second_field:
            if durations and packet.pts is not None:
                durations[-1] += packet.duration or 0
            continue
        pts = packet_pts(packet, timing)
        if pts is not None and pts >= first.pts and not packet.is_discard:
            times.append(pts)
            durations.append(packet.duration or 0)
        without_pts += pts is None
        trailing_without_pts = trailing_without_pts + 1 if pts is None else 0
        if len(times) + without_pts > MAX_PICTURES:
            return None
    if not times:
        times.append(first.pts)
        durations.append(first.frame.duration)
    ordered = np.unique(times)
    intervals = np.diff(ordered)
    if without_pts:
        timing = "dts" if timing == "dts" else "sparse_pts"
        period_ticks = _constant_period_ticks(intervals, durations)
        count = 1 + round((ordered[-1] - ordered[0]) / period_ticks) + trailing_without_pts
        end_pts = int(ordered[-1]) + (1 + trailing_without_pts) * period_ticks
        count = min(count, len(times) + without_pts)
        return PacketTimes(
            count,
            int(ordered[-1]),
            end_pts,
            False,
            timing,
            packets.is_cut_off,
            packets.is_uniform,
            packets.has_losses,
            ordered,
        )
    last_ticks = durations[int(np.argmax(times))]
    span_ticks = int(ordered[-1] - ordered[0])
    are_guessed = abs(sum(durations) - last_ticks - span_ticks) > span_ticks * DURATION_TOLERANCE
    if len(intervals) and (are_guessed or last_ticks <= 0):
        last_ticks = int(min(np.median(intervals), np.mean(intervals)))
    shortest_ticks = math.ceil(SHORTEST_PICTURE_S / tick_s(stream))
    end_pts = int(ordered[-1]) + max(last_ticks, shortest_ticks)
    return PacketTimes(
        len(ordered),
        int(ordered[-1]),
        end_pts,
        is_variable(intervals),
        timing,
        packets.is_cut_off,
        packets.is_uniform,
        packets.has_losses,
        ordered,
    )


def is_variable(intervals: npt.NDArray[np.int64]) -> bool:
    """Whether the times between pictures, in ticks, differ by more than a coarse clock makes them."""
    return len(intervals) > 0 and bool(np.ptp(intervals) > max(CLOCK_JITTER_TICKS, intervals.min() // 10))


def _constant_period_ticks(intervals: npt.NDArray[np.int64], durations: Sequence[int]) -> int:
    """The period of a stream in which some packets have no time: the median interval, but at most libav's own value."""
    libav_ticks, measured_ticks = max(durations), int(np.median(intervals)) if len(intervals) else 0
    return min(filter(None, (libav_ticks, measured_ticks)), default=1)


def tick_s(stream: VideoStream) -> Fraction:
    """The unit of a stream's times, in seconds."""
    assert stream.time_base  # libav gives every stream of a file one
    return stream.time_base
