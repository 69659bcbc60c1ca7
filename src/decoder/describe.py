"""The description of a film whose first picture and times are known."""

from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from decoder.container.dolby import lacks_base_layer
from decoder.container.film import Layout
from decoder.container.formats import COUNTED_FROM_FIRST_PICTURE
from decoder.container.frames import TimedFrame, is_single_field
from decoder.container.open import place_of
from decoder.container.orientation import UPRIGHT
from decoder.convert.rgb import has_known_colours
from decoder.ending import ending
from decoder.times import PacketTimes, tick_s
from records import Notice, VideoInfo

DECLARED_RATE_TOLERANCE = Fraction(1, 50)
"""A declared rate that is this close to the measured one is taken for its exact form."""
DOLBY_VISION_CODECS = frozenset(["hevc", "av1"])
LATEST_START_S = 86_400
"""A clock that starts later tells the time of day, and counts from its start."""


def has_dolby_colours(container: InputContainer, stream: VideoStream) -> bool:
    """Whether only Dolby Vision's own data tells the colours of a film."""
    is_possible = stream.codec_context.codec.canonical_name in DOLBY_VISION_CODECS
    return is_possible and lacks_base_layer(*place_of(container), container.format.name)


def describe(
    container: InputContainer, stream: VideoStream, first: TimedFrame, times: PacketTimes, layout: Layout
) -> VideoInfo:
    """Describe a film as the reader at hand has it.

    Args:
        container: whose packets have been read.
        stream: of the film.
        first: its first picture.
        times: of all its pictures.
        layout: its parts, and the streams beside it.
    """
    codec = stream.codec_context.codec.canonical_name
    turn_deg = (first.orientation or UPRIGHT).turn_deg
    width_px, height_px = _square_pixel_size(stream, first)
    if turn_deg in (90, 270):
        width_px, height_px = height_px, width_px
    first_s = first.pts * tick_s(stream)
    packets_duration_s = times.end_pts * tick_s(stream) - first_s
    end = ending(container, stream, times, packets_duration_s)
    duration_s = end.end_s - first_s
    notices: tuple[Notice, ...] = () if has_known_colours(first.frame) else ("unknown_colours",)
    if has_dolby_colours(container, stream):
        notices = ("dolby_vision",)
    return VideoInfo(
        start_s=_start_s(container, first_s),
        duration_s=float(duration_s),
        fps=_rate_fps(stream, times, packets_duration_s),
        num_frames=times.count,
        width_px=width_px,
        height_px=height_px,
        rotation_deg=turn_deg,
        codec=codec,
        pixel_format=first.frame.format.name,
        container=container.format.name,
        bit_rate_bps=container.bit_rate,
        variable_frame_rate=times.is_variable,
        truncated=end.is_cut_off or end.missing_s > 0,
        missing_s=end.missing_s + float(duration_s) * layout.unread_share,
        size_bytes=layout.size_bytes,
        stream_index=stream.index,
        first_pts=first.pts,
        time_base_s=tick_s(stream),
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
        notices=notices,
        seekable=times.is_uniform and times.timing == "pts",
        timing=times.timing,
        last_pts=times.last_pts,
        parts=() if layout.is_ordinary else layout.parts,
        unread_parts=layout.unread_parts,
        other_streams=layout.others,
        sound_after_s=end.sound_after_s,
    )


def _square_pixel_size(stream: VideoStream, first: TimedFrame) -> tuple[int, int]:
    """Width and height with square pixels; one side is stretched by the pixel aspect ratio, none is shrunk."""
    width_px, height_px = first.frame.width, first.frame.height
    if is_single_field(first.frame, stream.codec_context.codec.canonical_name):
        height_px *= 2
    aspect = stream.sample_aspect_ratio or Fraction(1)
    return (round(width_px * aspect), height_px) if aspect >= 1 else (width_px, round(height_px / aspect))


def _start_s(container: InputContainer, first_s: Fraction) -> float:
    """Seconds from the start of the players' clock to the first picture.

    That clock starts with the container's first stream, which libav gives in microseconds, or at 0 if that is earlier
    and the container counts from there.
    """
    if container.start_time is None:
        return 0.0
    clock_start_us = container.start_time
    if container.format.name not in COUNTED_FROM_FIRST_PICTURE and clock_start_us <= LATEST_START_S * av.time_base:
        clock_start_us = min(0, clock_start_us)
    return max(0, round(first_s * av.time_base) - clock_start_us) / av.time_base


def _rate_fps(stream: VideoStream, times: PacketTimes, duration_s: Fraction) -> Fraction:
    """The declared rate if the measured one confirms it, otherwise the measured one."""
    measured_fps = times.count / duration_s
    declared_fps = stream.guessed_rate
    if declared_fps and not times.is_variable and abs(declared_fps / measured_fps - 1) < DECLARED_RATE_TOLERANCE:
        return declared_fps
    return measured_fps.limit_denominator(1_000_000)
