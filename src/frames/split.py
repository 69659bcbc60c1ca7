"""Cuts a video into one file for each chunk with ffmpeg, without encoding again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from errors import MediaError, UnsupportedCodec, first_of_group
from frames.missing import BytesMissing
from protocol import DECODERS, MAX_STREAMS, SEEK_RETREATS_S
from records import Chunk, VideoInfo
from sandbox import process

MAX_PARALLEL = 2
"""Stream copies are bound by the disk: more at once only make it seek."""
MATROSKA_CLOCK_ERROR_S = 0.0005
"""Matroska's times are whole milliseconds."""


@dataclass(frozen=True, slots=True)
class ChunkFile:
    """A chunk as a file of its own. The copy starts at a keyframe, so first_frame_s <= chunk.start_s."""

    chunk: Chunk
    path: Path
    first_frame_s: float
    """When the file's first picture is shown in the source video."""


class Splitter:
    """Copies chunks of videos into files.

    Args:
        probe: returns what a file holds; see FrameExtractor.get_video_info.
        timeout_s: for one run of ffmpeg.
    """

    def __init__(self, probe: Callable[[Path], Awaitable[VideoInfo]], timeout_s: float) -> None:
        self._probe = probe
        self._timeout_s = timeout_s

    async def split(self, source: Path, info: VideoInfo, chunks: Sequence[Chunk], directory: Path) -> list[ChunkFile]:
        """Copy each chunk's packets into a file; see VideoProcessor.split_video_into_chunks.

        Raises:
            BytesMissing: the source was fetched in parts.
            UnsupportedCodec: the source is not seekable, or has several edits.
            MediaError: ffmpeg could not copy the stream.
        """
        if info.present:  # ffmpeg would copy the holes
            raise BytesMissing(BytesMissing.SENTENCE)
        if not info.seekable or info.edits:
            raise UnsupportedCodec(
                "AVI, MPEG program streams, MP4s with several edits and files whose clock or configuration changes "
                "midway cannot be cut without encoding them again."
            )
        gate = asyncio.Semaphore(MAX_PARALLEL)

        async def copy(chunk: Chunk) -> ChunkFile:
            async with gate:
                return await self._copy_chunk(source, info, chunk, directory)

        with first_of_group():
            async with asyncio.TaskGroup() as group:
                copies = [group.create_task(copy(chunk)) for chunk in chunks]
        return [task.result() for task in copies]

    async def _copy_chunk(self, source: Path, info: VideoInfo, chunk: Chunk, directory: Path) -> ChunkFile:
        target = directory / f"chunk_{chunk.index:05d}.{_suffix(info)}"
        for seek_s in _seek_targets_s(info, chunk):
            await process.run(_copy_argv(source, info, chunk, target, seek_s), self._timeout_s)
            try:
                copied = await self._probe(target)
            except MediaError:
                continue  # ffmpeg found no keyframe from there on
            # -copyts keeps the source's clock, so the copy's first timestamp is a time of the source.
            first_s = info.start_s + float(copied.first_pts * copied.time_base_s - info.first_pts * info.time_base_s)
            if first_s <= chunk.start_s + MATROSKA_CLOCK_ERROR_S:
                return ChunkFile(chunk, target, min(first_s, chunk.start_s))
        raise MediaError(f"Chunk {chunk.index} could not be cut out.")


def _seek_targets_s(info: VideoInfo, chunk: Chunk) -> list[float | None]:
    """The times to seek to, in the order to try them; None, the last, copies from the file's start."""
    targets_s = [chunk.start_s - retreat_s for retreat_s in SEEK_RETREATS_S]
    return [*(target_s for target_s in targets_s if target_s > info.start_s), None]


def _suffix(info: VideoInfo) -> str:
    """Matroska takes every codec, but ffmpeg 5 loses the orientation of turned pictures in it; MOV keeps it."""
    if "mov" not in info.container:
        return "mkv"
    return "mp4" if info.codec in ("av1", "vp9") else "mov"  # ffmpeg's MOV does not take these


def _copy_argv(source: Path, info: VideoInfo, chunk: Chunk, target: Path, seek_s: float | None) -> list[str]:
    """Return ffmpeg's command: copy from the keyframe that seeking finds, or from the start, to the chunk's seen end.

    -to counts on the container's own clock, and so does -ss with -seek_timestamp.
    """
    clock_s = float(info.first_pts * info.time_base_s) - info.start_s
    seek = {} if seek_s is None else {"ss": f"{seek_s + clock_s:.6f}", "seek_timestamp": 1}
    demuxer = info.container.partition(",")[0]  # named, so that the file cannot pass for a playlist
    limits = {"protocol_whitelist": "file", "codec_whitelist": DECODERS, "max_streams": MAX_STREAMS}
    copy = ffmpeg.input(f"file:{source}", f=demuxer, copyts=None, **limits, **seek)
    copy = copy[str(info.stream_index)].output(
        f"file:{target}", c="copy", to=f"{chunk.seen_end_s + clock_s:.6f}", avoid_negative_ts="disabled"
    )
    argv: list[str] = copy.global_args("-nostdin", "-v", "error").overwrite_output().compile()
    return argv
