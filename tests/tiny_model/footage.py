"""Renders timelines to video files, and knows what the worker should say about them."""

import math
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clips import ONE_FILTER_THREAD, REPRODUCIBLE
from tiny_model import world
from tiny_model.world import Sighting, Timeline

TO_BT709 = "scale=out_color_matrix=bt709"
"""Without this filter ffmpeg converts with BT.601, whatever colour space it writes into the file."""
TAGS = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "26", "-pix_fmt", "yuv420p")
PICTURES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Camera:
    """How a timeline is rendered."""

    height_px: int
    width_px: int
    fps: int
    grain: float = 0.0


def film(
    timeline: Timeline,
    camera: Camera,
    path: Path,
    options: Sequence[str] = H264,
    *,
    filters: Sequence[str] = (),
    turns: int = 0,
    seed: int = 0,
    report: Callable[[float], None] = lambda _share: None,
) -> Path:
    """Write a timeline as a video file, whose bytes do not depend on the machine; the suffix names the container.

    Args:
        timeline: the scenes to show.
        camera: size, rate and grain.
        path: the file to write.
        options: ffmpeg options for the output.
        filters: ffmpeg filters for the frames.
        turns: counter-clockwise quarter turns by which the coded frames are rotated against the upright ones.
        seed: seed of the grain.
        report: called with the share of the pictures that is written, 0 to 1.
    """
    height_px, width_px = (camera.height_px, camera.width_px) if turns % 2 == 0 else (camera.width_px, camera.height_px)
    size = f"{width_px}x{height_px}"
    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(camera.fps), "-i", "pipe:")
    filtered = ("-vf", ",".join([TO_BT709, *filters]))
    command = ["ffmpeg", "-v", "error", "-y", *ONE_FILTER_THREAD, *source, *filtered, *TAGS, *options]
    command += [*REPRODUCIBLE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stderr
        written = 0
        for pictures in _pictures(timeline, camera, seed):
            process.stdin.write(np.rot90(pictures, turns, (1, 2)).tobytes())
            written += len(pictures)
            report(written / round(timeline.duration_s * camera.fps))
        process.stdin.close()
        complaint = process.stderr.read()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=complaint)
    return path


def _pictures(timeline: Timeline, camera: Camera, seed: int) -> Iterable[np.ndarray]:
    generator = np.random.default_rng(seed)
    count = round(timeline.duration_s * camera.fps)
    for first in range(0, count, PICTURES_AT_ONCE):
        times_s = np.arange(first, min(first + PICTURES_AT_ONCE, count)) / camera.fps
        yield world.add_noise(
            generator, world.render(timeline, times_s, camera.height_px, camera.width_px), camera.grain
        )


def true_sightings(timeline: Timeline, start_s: float, seen_end_s: float, sample_fps: float) -> list[Sighting]:
    """Return the true answer for a chunk that sees this span of a video whose first frame is at 0 s."""
    instants = range(math.ceil(start_s * sample_fps), math.ceil(min(seen_end_s, timeline.duration_s) * sample_fps))
    times_s = [index / sample_fps for index in instants]
    return world.sightings([timeline.subject_at(time_s) for time_s in times_s], world.stamps_s(times_s))
