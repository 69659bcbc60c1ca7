"""What a video file holds, at which rate to look at it, and its frames."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path

from byte_ranges import ByteRange
from config import Settings
from errors import NoFrames
from frames import jpeg
from frames.probe import probe
from frames.reader_pool import VideoReaders
from frames.stream import FetchRest, FrameStreamer
from planning import Budget, SamplingRate, sampling_rate
from records import Chunk, FrameBatch, FrameSelection, SampleGrid, VideoInfo

NVIDIA_DEVICE = Path("/dev/nvidiactl")
"""Exists wherever an NVIDIA driver is loaded; checking for it creates no CUDA context."""


class FrameExtractor:
    """Reads videos in child processes; the worker's own process never parses a file from outside."""

    def __init__(self, settings: Settings) -> None:
        use_gpu = settings.decoder == "cuda" or (settings.decoder == "auto" and NVIDIA_DEVICE.exists())
        self._budget = Budget.from_settings(settings)
        self._readers = VideoReaders(settings, decode_on_gpu=use_gpu)
        self._streamer = FrameStreamer(self._readers, use_gpu=use_gpu, skip_loop_filter=settings.fast_decode)

    def warm_up(self) -> AbstractAsyncContextManager[None]:
        """Start the child processes for a job whose video is still to come; on exit, those that were not used end."""
        return self._readers.warm_up()

    async def get_video_info(self, path: Path, present: Sequence[ByteRange] = ()) -> VideoInfo:
        """Read all packets of a file and decode its first picture.

        Args:
            path: local file.
            present: what was fetched of it; none if that is all. The result is that of the whole file.

        Raises:
            BytesMissing: what was fetched does not tell.
            MediaError: or one of its kinds; the file cannot be used.
        """
        return await probe(path, self._readers, present)

    async def byte_ranges(
        self,
        path: Path,
        info: VideoInfo,
        grid: SampleGrid,
        chunks: Sequence[Chunk],
        *,
        selection: FrameSelection = "uniform",
    ) -> tuple[ByteRange, ...]:
        """Return what `stream_frames` reads of a file for the same arguments, besides what get_video_info needed.

        They are ascending, and may reach beyond the file's end. None stand for all of the file.

        Raises:
            MediaError: the process that reads the index failed.
        """
        return await self._streamer.byte_ranges(path, info, grid, chunks, selection)

    def calculate_sampling_rate(self, info: VideoInfo, span_s: float, wanted_fps: float) -> SamplingRate:
        """Return rate and frame size for chunks that see span_s seconds, within the frame and token budgets."""
        return sampling_rate(info, span_s, wanted_fps, self._budget)

    def stream_frames(  # noqa: PLR0913  # the first five say what is decoded
        self,
        path: Path,
        info: VideoInfo,
        grid: SampleGrid,
        chunks: Sequence[Chunk],
        *,
        selection: FrameSelection = "uniform",
        fetch_rest: FetchRest | None = None,
    ) -> AsyncGenerator[FrameBatch]:
        """Decode the chunks' frames in one pass, a batch for each chunk, in order.

        Frames that two chunks share are decoded once. A chunk of which nothing could be decoded gives a batch of no
        frames. If the decoder fails, the chunk that it was working on gives a batch of no frames with a fault, and a
        new decoder continues with the next chunk; if that one delivers nothing either, all remaining chunks give such
        batches. If decoding on a GPU fails, the CPU continues with the same chunk.
        The decoder waits while the caller holds a batch; closing the iterator kills it.

        Args:
            path: local file.
            info: of that file.
            grid: the grid of instants, and the frame size.
            chunks: at least one, in time order.
            selection: "keyframes" gives at most one for each instant, twice, at its own time; "adaptive" leaves out
                pairs of frames that look like the frame before them.
            fetch_rest: for a file that was fetched in parts; called if these are not enough, as in a damaged file.

        Raises:
            BytesMissing: they are not enough, and there is no fetch_rest.
            MediaError: the decoders failed or gave nothing for too long, and no chunk was complete.
        """
        return self._streamer.stream(path, info, grid, chunks, selection, fetch_rest=fetch_rest)

    async def extract_frames(
        self, path: Path, info: VideoInfo, grid: SampleGrid, chunk: Chunk, *, selection: FrameSelection = "uniform"
    ) -> FrameBatch:
        """Decode the frames of one chunk; see stream_frames.

        Raises:
            NoFrames: the chunk's span holds no decodable picture.
            MediaError: the decoder failed or gave nothing for too long.
        """
        async with aclosing(self.stream_frames(path, info, grid, [chunk], selection=selection)) as batches:
            batch = await anext(batches)
        if len(batch.pixels):
            return batch
        raise NoFrames(f"No picture between {chunk.start_s:g} s and {chunk.seen_end_s:g} s could be decoded.")

    @staticmethod
    def save_jpegs(batch: FrameBatch, directory: Path, quality: int = 90) -> list[Path]:
        """Write the frames as JPEG files named by their time in milliseconds, in time order.

        Args:
            batch: frames.
            directory: an existing directory.
            quality: 1 to 95, as Pillow counts it.
        """
        return jpeg.save_jpegs(batch, directory, quality)
