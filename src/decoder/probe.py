"""Program: describes a video on stdout as a protocol.ProbeReply; started by sandbox.confine.

Every packet is read and the first picture decoded, because headers lie.
"""

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

from decoder.container.frames import FLUSH, TimedFrame, decode_frames, decode_packet, is_single_field
from decoder.container.open import open_video, video_stream
from decoder.container.packets import Packets
from decoder.container.pts import AVI, lacks_pts, packet_pts
from decoder.convert.orientation import orientation_of
from protocol import CODECS, MAX_PICTURE_PIXELS, MAX_PICTURES, ProbeReply, Refusal
from records import VideoInfo

DECLARED_RATE_TOLERANCE = Fraction(1, 50)
"""A declared rate that is this close to the measured one is taken for its exact form."""
DURATION_TOLERANCE = Fraction(1, 10)
"""If the packets' durations add up to the time from the first picture to the last no better than this, libav guessed
them."""
SHORTEST_PICTURE_S = Fraction(1, 1000)
"""The least duration of the last picture; with it every video has a duration."""
TAGGED_DURATION = re.compile(r"(\d+):(\d+):(\d+\.?\d*)")
TAG_TOLERANCE_S = 0.5
PACKETS_TRIED = 100
"""How many packets of a file that is marked as encrypted are decoded to see whether it really is."""
CLOCK_JITTER_TICKS = 2
"""In a container's coarse clock even a constant rate jitters by this much."""


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """When the pictures of a stream are shown, in ticks, as its packets say."""

    count: int
    end_pts: int
    """When the last picture disappears."""
    is_variable: bool
    is_cut_off: bool
    is_uniform: bool
    """Clock and configuration stay the same throughout."""
    has_losses: bool
    """Packets are missing in between."""


def probe(path: str) -> VideoInfo | Refusal:
    """Describe the first stream of moving pictures of a file."""
    try:
        with open_video(path) as container:
            stream = video_stream(container)
            if stream is None:
                return Refusal.NO_VIDEO_STREAM
            if refusal := _refusal_by_header(stream):
                return refusal
            first = next(decode_frames(container, stream), None)
        if _is_encrypted(path):
            return Refusal.ENCRYPTED
        if first is None:
            return Refusal.NO_FRAMES
        with open_video(path) as container:
            stream = video_stream(container)
            assert stream is not None  # the same file, opened again: decoding moved the first reader
            times = _packet_times(container, stream, first)
            return _describe(container, stream, first, times) if times else Refusal.TOO_MANY_PICTURES
    except av.error.FFmpegError:
        return Refusal.UNREADABLE


def _refusal_by_header(stream: VideoStream) -> Refusal | None:
    """Why a stream cannot be used, as far as its header tells."""
    context = stream.codec_context
    if context is None or context.codec.canonical_name not in CODECS:
        return Refusal.UNSUPPORTED_CODEC
    return Refusal.TOO_LARGE if context.width * context.height > MAX_PICTURE_PIXELS else None


def _is_encrypted(path: str) -> bool:
    """Whether packets are marked as encrypted and do not decode; some that are marked are not encrypted."""
    with open_video(path) as container:
        stream = video_stream(container)
        assert stream is not None
        packets = islice(Packets(container, stream), PACKETS_TRIED)
        marked = [packet for packet in packets if packet.has_sidedata("encryption_info")]
        pictures = 0
        for timed in chain.from_iterable(
            decode_packet(stream.codec_context, packet) for packet in chain(marked, FLUSH)
        ):
            if timed.frame.is_corrupt:
                return True
            pictures += 1
    return pictures < len(marked)


def _packet_times(container: InputContainer, stream: VideoStream, first: TimedFrame) -> PacketTimes | None:
    """Read all packets, and count those that no edit list hides and that are not shown before the first picture.

    Returns:
        None if there are more than MAX_PICTURES.
    """
    times, durations = array("q"), array("q")
    packets, without_pts, trailing_without_pts = Packets(container, stream), 0, 0
    for packet in packets:
        pts = packet_pts(packet)
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
    if without_pts and lacks_pts(stream):
        period_ticks = _constant_period_ticks(intervals, durations)
        count = 1 + round((ordered[-1] - ordered[0]) / period_ticks) + trailing_without_pts
        end_pts = int(ordered[-1]) + (1 + trailing_without_pts) * period_ticks
        count = min(count, len(times) + without_pts)
        return PacketTimes(count, end_pts, False, packets.is_cut_off, packets.is_uniform, packets.has_losses)
    last_ticks = durations[int(np.argmax(times))]
    span_ticks = int(ordered[-1] - ordered[0])
    are_guessed = abs(sum(durations) - last_ticks - span_ticks) > span_ticks * DURATION_TOLERANCE
    if len(intervals) and (are_guessed or last_ticks <= 0):
        last_ticks = int(min(np.median(intervals), np.mean(intervals)))
    shortest_ticks = math.ceil(SHORTEST_PICTURE_S / _tick_s(stream))
    is_variable = len(intervals) > 0 and np.ptp(intervals) > max(CLOCK_JITTER_TICKS, intervals.min() // 10)
    end_pts = int(ordered[-1]) + max(last_ticks, shortest_ticks)
    return PacketTimes(
        len(ordered), end_pts, bool(is_variable), packets.is_cut_off, packets.is_uniform, packets.has_losses
    )


def _constant_period_ticks(intervals: npt.NDArray[np.int64], durations: Sequence[int]) -> int:
    """The period of a stream in which some packets have no time: the median interval, but at most libav's own value."""
    libav_ticks, measured_ticks = max(durations), int(np.median(intervals)) if len(intervals) else 0
    return min(filter(None, (libav_ticks, measured_ticks)), default=1)


def _describe(container: InputContainer, stream: VideoStream, first: TimedFrame, times: PacketTimes) -> VideoInfo:
    tick_s = _tick_s(stream)
    turn_deg = orientation_of(first.frame).turn_deg
    width_px, height_px = _square_pixel_size(stream, first)
    if turn_deg in (90, 270):
        width_px, height_px = height_px, width_px
    duration_s = (times.end_pts - first.pts) * tick_s
    missing_s = _missing_s(container, stream, duration_s, times)
    return VideoInfo(
        start_s=_start_s(container, first.pts * tick_s),
        duration_s=float(duration_s),
        fps=_rate_fps(stream, times, duration_s),
        num_frames=times.count,
        width_px=width_px,
        height_px=height_px,
        rotation_deg=turn_deg,
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=first.frame.format.name,
        container=container.format.name,
        bit_rate_bps=container.bit_rate,
        variable_frame_rate=times.is_variable,
        truncated=times.is_cut_off or missing_s > 0,
        missing_s=missing_s,
        size_bytes=container.size,
        stream_index=stream.index,
        first_pts=first.pts,
        time_base_s=tick_s,
        seekable=times.is_uniform and not lacks_pts(stream),
    )


def _tick_s(stream: VideoStream) -> Fraction:
    assert stream.time_base  # libav gives every stream of a file one
    return stream.time_base


def _square_pixel_size(stream: VideoStream, first: TimedFrame) -> tuple[int, int]:
    """Width and height with square pixels; one side is stretched by the pixel aspect ratio, none is shrunk."""
    width_px, height_px = first.frame.width, first.frame.height
    if is_single_field(first.frame, stream.codec_context.codec.canonical_name):
        height_px *= 2
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return (round(width_px * aspect), height_px) if aspect >= 1 else (width_px, round(height_px / aspect))


def _start_s(container: InputContainer, first_s: Fraction) -> float:
    """Seconds from the container's start, which libav gives in microseconds, to the first picture."""
    if container.start_time is None:
        return 0.0
    return max(0, round(first_s * av.time_base) - container.start_time) / av.time_base


def _missing_s(container: InputContainer, stream: VideoStream, duration_s: Fraction, times: PacketTimes) -> float:
    """Seconds after the last picture that the file promises and does not hold.

    A file that is not cut off is not asked for its promise, because many lie. Matroska does not tell whether it is cut
    off, but as a rule it has a tag with the time at which the stream ends.
    """
    if tag := TAGGED_DURATION.fullmatch(stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = map(float, tag.groups())
        missing_s = 3600 * hours + 60 * minutes + seconds - float(times.end_pts * _tick_s(stream))
        return missing_s if missing_s > TAG_TOLERANCE_S else 0.0
    if container.format.name == AVI:  # its pictures are counted: what is missing in between is missing at the end
        lost_s = (stream.duration or 0) * _tick_s(stream) - duration_s if times.has_losses else Fraction(0)
        return max(0.0, float(lost_s))
    if not times.is_cut_off:
        return 0.0
    promised_s = (
        stream.duration * _tick_s(stream) if stream.duration else Fraction(container.duration or 0, av.time_base)
    )
    return max(0.0, float(promised_s - duration_s))


def _rate_fps(stream: VideoStream, times: PacketTimes, duration_s: Fraction) -> Fraction:
    """The declared rate if the measured one confirms it, otherwise the measured one."""
    measured_fps = times.count / duration_s
    declared_fps = stream.guessed_rate
    if declared_fps and not times.is_variable and abs(declared_fps / measured_fps - 1) < DECLARED_RATE_TOLERANCE:
        return declared_fps
    return measured_fps.limit_denominator(1_000_000)


def main(video: str, _message: str, *, on_gpu: bool) -> None:  # noqa: ARG001  # the GPU is of no use here
    """Print what a file holds; the message is empty."""
    sys.stdout.write(ProbeReply(probe(video)).to_json())
