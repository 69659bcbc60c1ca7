"""Judges a video, plans its chunks, and cuts it into files for callers who want them."""

from pathlib import Path

from config import Settings
from errors import MediaError, VideoTooLong
from frame_extractor import FrameExtractor
from frames.split import ChunkFile, Splitter
from own_thread import in_own_thread
from planning import WHOLE_VIDEO, Budget, ChunkLength, plan_video
from records import Chunk, LocalVideo, PromptRoom, Scope, VideoInfo, VideoPlan
from sources.not_a_video import what_it_is


class VideoProcessor:
    """Decides about whole videos; delegates to planning and frames.split."""

    def __init__(self, settings: Settings, extractor: FrameExtractor) -> None:
        self._settings = settings
        self._extractor = extractor
        self._splitter = Splitter(extractor.get_video_info, settings.media_timeout_s)

    async def validate_video(self, video: LocalVideo) -> VideoInfo:
        """Return what the file holds, if the worker can answer questions about it.

        Raises:
            MediaError: or one of its kinds, VideoTooLong among them.
        """
        try:
            info = await self._extractor.get_video_info(video.path, video.present)
        except MediaError as exc:
            if type(exc) is MediaError and (found := await in_own_thread(what_it_is, video.path)):
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
        room: PromptRoom | None = None,
        scope: Scope = WHOLE_VIDEO,
    ) -> VideoPlan:
        """Partition the video and choose rate and frame size, within the frame and token budgets.

        Every chunk answers for chunk_duration_s seconds and sees chunk_overlap more of the next. A
        tail that is shorter than the overlap, or that holds no sampling instant, joins the last chunk.

        Args:
            info: of the video.
            chunk_duration_s: None for the configured one.
            sample_fps: frames per second of video; None for the configured rate.
            room: what the engine's context leaves for a chunk; None where no engine is at hand.
            scope: the part that is looked at, and how closely. With keyframes the grid's rate is halved, since each one
                makes a pair of frames by itself.

        Raises:
            InputError: that part is outside the video.
        """
        settings = self._settings
        length = ChunkLength(chunk_duration_s or settings.chunk_duration, settings.chunk_overlap)
        budget = Budget.from_settings(settings, room)
        return plan_video(info, length, sample_fps or settings.sample_fps, budget, scope)

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
            UnsupportedCodec: the source is not seekable, or has several edits.
            MediaError: ffmpeg could not copy the stream.
        """
        return await self._splitter.split(video.path, info, chunks, directory)
