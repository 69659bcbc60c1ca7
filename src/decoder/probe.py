"""Prints one JSON object that describes a video; run by sandbox.confine.

It reads every packet and decodes the first picture, because headers lie. Of a file that cannot
be used it prints {"refused": reason}; the reasons are the keys of frame_extractor.REFUSALS.
"""

import json
import math
import re
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.stream import VideoStream

from decoder.container.open import (
    END,
    MAX_PICTURE_PIXELS,
    TimedFrame,
    decode_frames,
    decode_packet,
    is_field,
    open_video,
    orientation,
    picture_stream,
)
from decoder.container.packets import AVI, Packets, is_untimed, packet_time

CODECS = (
    {"h264", "hevc", "av1", "vp8", "vp9", "theora", "prores", "mjpeg"}
    | {"mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "h263"}
    | {"wmv1", "wmv2", "wmv3", "vc1", "flv1", "vp6", "vp6f"}
)
MAX_PICTURES = 25_000_000
"""Those of a day at 289 a second."""
DECLARED_RATE_TOLERANCE = Fraction(1, 50)
"""A rate that a container declares is the exact form of the measured one if it is as near as this."""
DURATION_TOLERANCE = Fraction(1, 10)
"""Durations that add up no better to the time between first and last picture are libav's guesses."""
SHORTEST_PICTURE_S = Fraction(1, 1000)
"""How long a last picture lasts at least, so that every video has a duration."""
TAGGED_DURATION = re.compile(r"(\d+):(\d+):(\d+\.?\d*)")
TAG_TOLERANCE_S = 0.5
PACKETS_TRIED = 100
"""Of the packets of a file that is marked as encrypted, how many are decoded to see whether it is."""
CLOCK_JITTER_TICKS = 2
"""A constant rate in a container's coarse clock still jitters by this much."""


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """When the pictures of a stream are shown, in ticks, as its packets say."""

    count: int
    end_pts: int
    variable: bool
    is_cut_off: bool
    is_even: bool
    """Clock and configuration are the same all along."""


def scan(path: str) -> dict[str, object]:
    """Describe the first stream of moving pictures of a file."""
    try:
        with open_video(path) as container:
            stream = picture_stream(container)
            refused = _refusal(stream)
            if stream is None or refused:
                return {"refused": refused}
            first = next(decode_frames(container, stream), None)
        if _is_undecipherable(path):
            return {"refused": "encrypted"}
        if first is None:
            return {"refused": "no_frames"}
        with open_video(path) as container:
            stream = picture_stream(container)
            assert stream is not None  # the same file, opened again: decoding moved the first reader
            times = _packet_times(container, stream, first)
            return _describe(container, stream, first, times) if times else {"refused": "too_many_pictures"}
    except av.error.FFmpegError:
        return {"refused": "unreadable"}


def _refusal(stream: VideoStream | None) -> str | None:
    """Why a stream is of no use, as far as that shows before anything is decoded."""
    if stream is None:
        return "no_video_stream"
    context = stream.codec_context
    if context is None or context.codec.canonical_name not in CODECS:
        return "unsupported_codec"
    return "too_large" if context.width * context.height > MAX_PICTURE_PIXELS else None


def _is_undecipherable(path: str) -> bool:
    """Whether pictures are marked as encrypted and do not decode; some so marked are in clear all the same."""
    with open_video(path) as container:
        stream = picture_stream(container)
        assert stream is not None
        packets = islice(Packets(container, stream), PACKETS_TRIED)
        marked = [packet for packet in packets if packet.has_sidedata("encryption_info")]
        pictures = 0
        for timed in chain.from_iterable(decode_packet(stream.codec_context, packet) for packet in chain(marked, END)):
            if timed.frame.is_corrupt:
                return True
            pictures += 1
    return pictures < len(marked)


def _packet_times(container: InputContainer, stream: VideoStream, first: TimedFrame) -> PacketTimes | None:
    """Read all packets; those that an edit list hides, or that come before the first picture, do not count.

    None: there are too many.
    """
    times, durations = array("q"), array("q")
    packets, untimed, untimed_last = Packets(container, stream), 0, 0
    for packet in packets:
        pts = packet_time(packet)
        if pts is not None and pts >= first.pts and not packet.is_discard:
            times.append(pts)
            durations.append(packet.duration or 0)
        untimed, untimed_last = (untimed, 0) if pts is not None else (untimed + 1, untimed_last + 1)
        if len(times) + untimed > MAX_PICTURES:
            return None
    if not times:
        times.append(first.pts)
        durations.append(first.frame.duration)
    ordered = np.unique(times)
    intervals = np.diff(ordered)
    if untimed and is_untimed(stream):
        period_ticks = _constant_period_ticks(intervals, durations)
        count = 1 + round((ordered[-1] - ordered[0]) / period_ticks) + untimed_last
        end_pts = int(ordered[-1]) + (1 + untimed_last) * period_ticks
        return PacketTimes(min(count, len(times) + untimed), end_pts, False, packets.is_cut_off, packets.is_even)
    last_ticks = durations[int(np.argmax(times))]
    span_ticks = int(ordered[-1] - ordered[0])
    guessed = abs(sum(durations) - last_ticks - span_ticks) > span_ticks * DURATION_TOLERANCE
    if len(intervals) and (guessed or last_ticks <= 0):
        last_ticks = int(min(np.median(intervals), np.mean(intervals)))
    shortest_ticks = math.ceil(SHORTEST_PICTURE_S / _tick_s(stream))
    variable = len(intervals) > 0 and np.ptp(intervals) > max(CLOCK_JITTER_TICKS, intervals.min() // 10)
    end_pts = int(ordered[-1]) + max(last_ticks, shortest_ticks)
    return PacketTimes(len(ordered), end_pts, bool(variable), packets.is_cut_off, packets.is_even)


def _constant_period_ticks(intervals: npt.NDArray[np.int64], durations: Sequence[int]) -> int:
    """From one picture to the next, of pictures that partly have no time: no more than libav takes it for."""
    told_ticks, measured_ticks = max(durations), int(np.median(intervals)) if len(intervals) else 0
    return min(filter(None, (told_ticks, measured_ticks)), default=1)


def _describe(
    container: InputContainer, stream: VideoStream, first: TimedFrame, times: PacketTimes
) -> dict[str, object]:
    tick_s = _tick_s(stream)
    turn_deg = orientation(first.frame).turn_deg
    width_px, height_px = _square_pixel_size(stream, first)
    if turn_deg in (90, 270):
        width_px, height_px = height_px, width_px
    duration_s = (times.end_pts - first.pts) * tick_s
    missing_s = _missing_s(container, stream, duration_s, times)
    return {
        "start_s": _start_s(container, first.pts * tick_s),
        "duration_s": float(duration_s),
        "fps": str(_rate_fps(stream, times, duration_s)),
        "num_frames": times.count,
        "width_px": width_px,
        "height_px": height_px,
        "rotation_deg": turn_deg,
        "codec": stream.codec_context.codec.canonical_name,
        "pixel_format": first.frame.format.name,
        "container": container.format.name,
        "bit_rate_bps": container.bit_rate,
        "variable_frame_rate": times.variable,
        "truncated": times.is_cut_off or missing_s > 0,
        "missing_s": missing_s,
        "size_bytes": container.size,
        "stream_index": stream.index,
        "first_pts": first.pts,
        "time_base_s": str(tick_s),
        "seekable": times.is_even and not is_untimed(stream),
    }


def _tick_s(stream: VideoStream) -> Fraction:
    assert stream.time_base  # libav gives every stream of a file one
    return stream.time_base


def _square_pixel_size(stream: VideoStream, first: TimedFrame) -> tuple[int, int]:
    """Width and height with the pixel aspect ratio stretched out, so that no pixel is lost."""
    width_px, height_px = first.frame.width, first.frame.height
    if is_field(first.frame, stream.codec_context.codec.canonical_name):
        height_px *= 2
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return (round(width_px * aspect), height_px) if aspect >= 1 else (width_px, round(height_px / aspect))


def _start_s(container: InputContainer, first_s: Fraction) -> float:
    """Seconds from the container's start, which libav counts in microseconds, to the first picture."""
    if container.start_time is None:
        return 0.0
    return max(0, round(first_s * av.time_base) - container.start_time) / av.time_base


def _missing_s(container: InputContainer, stream: VideoStream, duration_s: Fraction, times: PacketTimes) -> float:
    """Seconds behind the last picture that a file promises.

    Of a file that is whole no promise is heard, because many lie. Matroska does not tell whether one is, but as a rule
    it has a tag with the time at which a stream ends.
    """
    if tag := TAGGED_DURATION.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, tag.groups())
        missing_s = 3600 * hours + 60 * minutes + seconds - float(times.end_pts * _tick_s(stream))
        return missing_s if missing_s > TAG_TOLERANCE_S else 0.0
    if not times.is_cut_off or container.format.name == AVI:  # libav takes an AVI's duration from what is left of it
        return 0.0
    promised_s = (
        stream.duration * _tick_s(stream) if stream.duration else Fraction(container.duration or 0, av.time_base)
    )
    return max(0.0, float(promised_s - duration_s))


def _rate_fps(stream: VideoStream, times: PacketTimes, duration_s: Fraction) -> Fraction:
    """The declared rate where it is the exact form of the measured one."""
    measured_fps = times.count / duration_s
    declared_fps = stream.guessed_rate
    if declared_fps and not times.variable and abs(declared_fps / measured_fps - 1) < DECLARED_RATE_TOLERANCE:
        return declared_fps
    return measured_fps.limit_denominator(1_000_000)


def main(path: str) -> None:
    """Print the scan of a file."""
    json.dump(scan(path), sys.stdout)
