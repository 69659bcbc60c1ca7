"""Judges a video, and cuts its time into chunks."""

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from config import Settings
from errors import MediaError, UnsupportedCodec, VideoTooLong
from frame_extractor import FrameExtractor
from protocol import DECODERS, MAX_STREAMS, SEEK_RETREATS_S
from records import Chunk, FrameSelection, LocalVideo, SampleGrid, VideoInfo, VideoPlan
from sandbox import process
from sources.not_a_video import what_it_is
from sources.own_thread import in_own_thread
from vision import microseconds

MAX_CHUNKS = 5000
"""Results of more would be larger than the platform takes, their texts left out."""
SPLIT_PARALLEL = 2
"""Stream copies are bound by the disk: more at once only make it seek."""
MATROSKA_CLOCK_ERROR_S = 0.0005


@dataclass(frozen=True, slots=True)
class ChunkFile:
    """A chunk as a file of its own. The copy starts at a keyframe, so first_frame_s <= chunk.start_s."""

    chunk: Chunk
    path: Path
    first_frame_s: float
    """When the file's first picture is shown in the source video."""


class VideoProcessor:
    """Plans a video's chunks; can cut it into files for those who want them."""

    def __init__(self, settings: Settings, extractor: FrameExtractor) -> None:
        self._settings = settings
        self._extractor = extractor

    async def validate_video(self, video: LocalVideo) -> VideoInfo:
        """Return what the file holds, if the worker can answer on it.

        Raises:
            MediaError: or one of its kinds, VideoTooLong among them.
        """
        try:
            info = await self._extractor.get_video_info(video.path)
        except MediaError as exc:
            if type(exc) is MediaError and (found := await in_own_thread(lambda: what_it_is(video.path))):
                raise MediaError(found) from exc
            raise
        if info.duration_s > self._settings.max_video_duration_s:
            raise VideoTooLong(
                f"The video lasts {info.duration_s:.0f} s; the limit is {self._settings.max_video_duration_s:.0f} s."
            )
        return info

    def calculate_optimal_chunks(
        self,
        info: VideoInfo,
        chunk_duration_s: float | None = None,
        sample_fps: float | None = None,
        selection: FrameSelection = "uniform",
    ) -> VideoPlan:
        """Partition the video and choose rate and frame size, within the frame and token budgets.

        Every chunk answers for chunk_duration_s seconds and sees chunk_overlap more of the next. A
        tail that is shorter than the overlap, or that holds no sampling instant, joins the last chunk.

        Args:
            info: of the video.
            chunk_duration_s: None for the configured one.
            sample_fps: None for the configured one.
            selection: keyframes halve the rate, since each one makes a pair of frames by itself.
        """
        settings = self._settings
        wanted_s, overlap_s = chunk_duration_s or settings.chunk_duration, settings.chunk_overlap
        duration_s = max(wanted_s, math.ceil(microseconds(info.duration_s) / MAX_CHUNKS) / 1_000_000)
        concessions = (
            [] if duration_s == wanted_s else [f"chunk_duration raised from {wanted_s:.4g} to {duration_s:.4g}"]
        )
        span_s = min(duration_s + overlap_s, info.duration_s)
        rate = self._extractor.calculate_sampling_rate(info, span_s, sample_fps or settings.sample_fps)
        if microseconds(float(rate.span_s)) < microseconds(span_s):
            overlap_s = min(overlap_s, float(rate.span_s) / 2)
            duration_s = float(rate.span_s) - overlap_s
        # A keyframe makes a pair by itself: two in a pair would share the mean of their times.
        fps = rate.fps / 2 if selection == "keyframes" else rate.fps
        grid = SampleGrid(info.start_s, fps, rate.height_px, rate.width_px)
        chunks = _partition(info, duration_s, overlap_s, grid)
        return VideoPlan(chunks, grid, selection, (*concessions, *rate.concessions))

    async def split_video_into_chunks(
        self, video: LocalVideo, info: VideoInfo, chunks: tuple[Chunk, ...], directory: Path
    ) -> list[ChunkFile]:
        """Copy each chunk's packets into a file of its own, without encoding again.

        The worker itself decodes from the source; this is for callers who want files.

        Args:
            video: the source.
            info: of the source.
            chunks: of the plan.
            directory: an existing directory.

        Raises:
            UnsupportedCodec: the source is not seekable.
            MediaError: ffmpeg could not copy the stream.
        """
        if not info.seekable:
            raise UnsupportedCodec(
                "AVI, MPEG program streams and files whose clock or configuration changes midway cannot be cut without "
                "encoding them again."
            )
        gate = asyncio.Semaphore(SPLIT_PARALLEL)

        async def copy(chunk: Chunk) -> ChunkFile:
            async with gate:
                return await self._copy_chunk(video.path, info, chunk, directory)

        try:
            async with asyncio.TaskGroup() as group:
                copies = [group.create_task(copy(chunk)) for chunk in chunks]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return [task.result() for task in copies]

    async def _copy_chunk(self, source: Path, info: VideoInfo, chunk: Chunk, directory: Path) -> ChunkFile:
        target = directory / f"chunk_{chunk.index:05d}.{_suffix(info)}"
        seeks_s = [chunk.start_s - retreat_s for retreat_s in SEEK_RETREATS_S]
        for seek_s in [*(seek_s for seek_s in seeks_s if seek_s > info.start_s), None]:
            argv = _copy_argv(source, info, chunk, target, seek_s)
            await process.run(argv, self._settings.media_timeout_s)
            try:
                copied = await self._extractor.get_video_info(target)
            except MediaError:
                continue  # no keyframe from there on
            # -copyts keeps the source's clock, so the copy's first timestamp is a time of the source.
            first_s = info.start_s + float(copied.first_pts * copied.time_base_s - info.first_pts * info.time_base_s)
            if first_s <= chunk.start_s + MATROSKA_CLOCK_ERROR_S:
                return ChunkFile(chunk, target, min(first_s, chunk.start_s))
        raise MediaError(f"Chunk {chunk.index} could not be cut out.")


def _partition(info: VideoInfo, duration_s: float, overlap_s: float, grid: SampleGrid) -> tuple[Chunk, ...]:
    duration_us = microseconds(duration_s)
    count, tail_us = divmod(microseconds(info.duration_s), duration_us)
    starts_s = [info.start_s + index * duration_us / 1_000_000 for index in range(count + 1)]
    tail_is_seen = grid.first_index(starts_s[-1]) < grid.first_index(info.end_s)
    if count > 0 and not (tail_is_seen and tail_us > 0 and tail_us >= overlap_s * 1_000_000):
        starts_s.pop()  # the chunk before answers for the tail
    ends_s = [*starts_s[1:], info.end_s]
    return tuple(
        Chunk(index, start_s, end_s, min(end_s + overlap_s, info.end_s))
        for index, (start_s, end_s) in enumerate(zip(starts_s, ends_s, strict=True))
    )


def _suffix(info: VideoInfo) -> str:
    """Matroska takes every codec, but ffmpeg 5 loses turned pictures' orientation in it; MOV keeps it."""
    if "mov" not in info.container:
        return "mkv"
    return "mp4" if info.codec in ("av1", "vp9") else "mov"  # ffmpeg's MOV does not take these


def _copy_argv(source: Path, info: VideoInfo, chunk: Chunk, target: Path, seek_s: float | None) -> list[str]:
    """Copy from the keyframe that seeking finds, or from the start, to the chunk's seen end.

    -ss counts from the container's start, -to on its own clock.
    """
    seek = {} if seek_s is None else {"ss": f"{seek_s:.6f}"}
    demuxer = info.container.partition(",")[0]  # named, so that the file cannot pass for a playlist
    limits = {"protocol_whitelist": "file", "codec_whitelist": DECODERS, "max_streams": MAX_STREAMS}
    copy = ffmpeg.input(f"file:{source}", f=demuxer, copyts=None, **limits, **seek)
    end_pts_s = float(info.first_pts * info.time_base_s) + chunk.seen_end_s - info.start_s
    copy = copy[str(info.stream_index)].output(
        f"file:{target}", c="copy", to=f"{end_pts_s:.6f}", avoid_negative_ts="disabled"
    )
    argv: list[str] = copy.global_args("-nostdin", "-v", "error").overwrite_output().compile()
    return argv
