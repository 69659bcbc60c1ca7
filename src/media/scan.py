"""Program: `python -m media.scan PATH` prints one JSON object that describes a video.

It reads every packet and decodes the first picture, because headers lie. Of a file that cannot
be used it prints {"refused": reason}; the reasons are the keys of frame_extractor.REFUSALS.
"""

import json
import sys
from array import array
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from media.source import TimedFrame, clockwise_turn_deg, decode_frames, open_video, picture_stream

CODECS = frozenset(
    ["h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "mpeg1video", "mpeg2video", "mjpeg", "prores", "theora", "wmv1", "wmv2", "wmv3", "vc1", "h263", "flv1", "vp6", "vp6f"]
)


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """When the pictures of a stream are shown, in ticks, as its packets say."""

    count: int
    end_pts: int
    shortest_interval: int
    longest_interval: int


def scan(path: str) -> dict[str, object]:
    """Describe the first stream of moving pictures of a file."""
    try:
        with open_video(path) as container:
            stream = picture_stream(container)
            if stream is None:
                return {"refused": "no_video_stream"}
            if stream.codec_context is None or stream.codec_context.codec.canonical_name not in CODECS:
                return {"refused": "unsupported_codec"}
            first = next(decode_frames(container, stream), None)
        if first is None:
            return {"refused": "no_frames"}
        with open_video(path) as container:
            stream = picture_stream(container)
            assert stream is not None  # the same file, opened again: decoding moved the first reader
            return _describe(container, stream, first, _packet_times(container, stream, first))
    except av.error.FFmpegError:
        return {"refused": "unreadable"}


def _packet_times(container: InputContainer, stream: VideoStream, first: TimedFrame) -> PacketTimes:
    """Read all packets; those that an edit list hides, or that come before the first picture, do not count."""
    times = array("q")
    end_pts = first.pts + (first.frame.duration or 0)
    try:
        for packet in container.demux(stream):
            pts = packet.dts if packet.pts is None else packet.pts
            if pts is None or packet.is_discard or pts < first.pts:
                continue
            times.append(pts)
            end_pts = max(end_pts, pts + (packet.duration or 0))
    except av.error.FFmpegError:
        pass  # a truncated file: what was read so far is what there is
    ordered = sorted(times)
    intervals = [later - earlier for earlier, later in pairwise(ordered) if later > earlier]
    if intervals and end_pts == ordered[-1]:
        end_pts += (ordered[-1] - ordered[0]) // len(intervals)
    return PacketTimes(len(ordered), end_pts, min(intervals, default=0), max(intervals, default=0))


def _describe(
    container: InputContainer, stream: VideoStream, first: TimedFrame, times: PacketTimes
) -> dict[str, object]:
    ticks_s = stream.time_base
    duration_ticks = max(1, times.end_pts - first.pts)
    mean_fps = times.count / (duration_ticks * ticks_s)
    rotation_deg = clockwise_turn_deg(first.frame)
    width_px, height_px = first.frame.width, first.frame.height
    if (aspect := stream.sample_aspect_ratio) and aspect > 1:
        width_px = round(width_px * aspect)
    elif aspect and aspect > 0:
        height_px = round(height_px / aspect)
    if rotation_deg in (90, 270):
        width_px, height_px = height_px, width_px
    # A constant rate in a container's coarse clock still jitters by a tick.
    variable = times.longest_interval - times.shortest_interval > max(2, times.shortest_interval // 10)
    declared = stream.guessed_rate
    fps = declared if declared and not variable and abs(declared / mean_fps - 1) < 0.02 else mean_fps
    container_start_s = Fraction(container.start_time or 0, av.time_base)
    return {
        "start_s": float(max(Fraction(0), first.pts * ticks_s - container_start_s)),
        "duration_s": float(duration_ticks * ticks_s),
        "fps": str(Fraction(fps).limit_denominator(1_000_000)),
        "num_frames": times.count,
        "width_px": width_px,
        "height_px": height_px,
        "rotation_deg": rotation_deg,
        "codec": stream.codec_context.codec.canonical_name,
        "pixel_format": first.frame.format.name,
        "container": container.format.name,
        "bit_rate_bps": container.bit_rate,
        "variable_frame_rate": variable,
        "stream_index": stream.index,
        "first_pts": first.pts,
        "time_base_s": str(ticks_s),
    }


def main() -> None:
    """Print the scan of the file named on the command line."""
    json.dump(scan(sys.argv[1]), sys.stdout)


if __name__ == "__main__":
    main()
