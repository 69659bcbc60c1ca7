"""A job's video, fetched as far as the job needs it: all of it, or of some files the parts that a window takes."""

from dataclasses import replace
from pathlib import Path
from typing import Self

from config import Settings
from download import download
from frame_extractor import FrameExtractor
from frames.missing import BytesMissing
from frames.stream import FetchRest
from records import LocalVideo, VideoInfo, VideoPlan
from sources.sparse import SparseVideo, fetch_index
from video_processor import VideoProcessor


class FetchedVideo:
    """The file of a job.

    Args:
        video: what was fetched of it.
        sparse: fetches more of it; None if that is all.
    """

    def __init__(self, video: LocalVideo, sparse: SparseVideo | None) -> None:
        self._video, self._sparse = video, sparse

    @classmethod
    async def fetch(cls, source: str, directory: Path, settings: Settings, *, in_parts: bool) -> Self:
        """Fetch a video, or with `in_parts` what describes it if that can be fetched alone.

        Raises:
            DownloadError: or one of its kinds; see download.download.
        """
        sparse = await fetch_index(source, directory, settings) if in_parts else None
        return cls(sparse.video if sparse else await download(source, directory, settings), sparse)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._video.path

    @property
    def fetch_rest(self) -> FetchRest | None:
        """Fetches what is missing; None if nothing is."""
        return self._sparse.fetch_rest if self._sparse else None

    async def describe(self, processor: VideoProcessor) -> VideoInfo:
        """Return what the file holds; what was fetched of it may not tell, and then the rest is fetched.

        Raises:
            MediaError, DownloadError: or one of their kinds.
        """
        try:
            return await processor.validate_video(self._video)
        except BytesMissing:
            if self._sparse is None:
                raise
        self._video = await self._sparse.fetch_rest()
        return await processor.validate_video(self._video)

    async def fetch_planned(self, extractor: FrameExtractor, info: VideoInfo, plan: VideoPlan) -> VideoInfo:
        """Fetch what a plan looks at; return the description with what is there now.

        Raises:
            MediaError, DownloadError: or one of their kinds.
        """
        if self._sparse is None or not self._video.present:
            return info
        ranges = await extractor.byte_ranges(self.path, info, plan.grid, plan.chunks, selection=plan.selection)
        self._video = await self._sparse.fetch(ranges)
        return replace(info, present=self._video.present)
