"""Which pictures of a video become frames: one selector for each name in records.FrameSelection."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from frames.pictures import QueuedPicture
from frames.static import changing_pairs
from records import FrameBatch, FrameSelection, SampleGrid, UnseenReason
from vision import FRAMES_PER_PAIR


class FrameSelector(Protocol):
    """The questions that the selections answer differently.

    Attributes:
        keyframes_only: the decoder decodes and delivers keyframes alone.
        frames_per_instant: the most frames that one instant of the grid gives.
    """

    keyframes_only: ClassVar[bool]
    frames_per_instant: ClassVar[int]

    def frame_times_s(self, picture: QueuedPicture, visible: range, grid: SampleGrid) -> list[float]:
        """Return the times of the frames that a picture gives to a chunk, ascending.

        Args:
            picture: a delivered picture.
            visible: the chunk's instants at which the picture is on screen.
            grid: of the instants.
        """
        ...

    def drop_frames(self, batch: FrameBatch) -> FrameBatch:
        """Return a complete chunk without the frames that the model need not see."""
        ...


class Uniform:
    """A frame for every instant: the picture that is on screen then."""

    keyframes_only: ClassVar[bool] = False
    frames_per_instant: ClassVar[int] = 1

    def frame_times_s(self, _picture: QueuedPicture, visible: range, grid: SampleGrid) -> list[float]:
        """Return the instants at which the picture is on screen."""
        return [grid.instant_s(index) for index in visible]

    def drop_frames(self, batch: FrameBatch) -> FrameBatch:
        """Return all frames."""
        return batch


class Adaptive(Uniform):
    """As Uniform, without the pairs of frames that look like the frame before them."""

    def drop_frames(self, batch: FrameBatch) -> FrameBatch:
        """Return the pairs in which the picture changes, and as many others as the model needs."""
        return batch.chosen(changing_pairs(batch.pixels))


class Keyframes:
    """At most one keyframe for each instant, at its own time; it belongs to the chunks that see its first instant.

    A chunk in which no keyframe begins gets the picture that is on screen at its start.

    It is given twice and makes a pair by itself: two keyframes in a pair would share the mean of their times.
    """

    keyframes_only: ClassVar[bool] = True
    frames_per_instant: ClassVar[int] = FRAMES_PER_PAIR

    def frame_times_s(self, picture: QueuedPicture, visible: range, grid: SampleGrid) -> list[float]:
        """Return the picture's own time for each frame of a pair; if it began earlier, the first instant's."""
        is_given = picture.first in visible and picture.unseen is not UnseenReason.MISSING
        return [max(picture.time_s, grid.instant_s(picture.first))] * FRAMES_PER_PAIR if is_given else []

    def drop_frames(self, batch: FrameBatch) -> FrameBatch:
        """Return all frames."""
        return batch


SELECTORS: Mapping[FrameSelection, FrameSelector] = {
    "uniform": Uniform(),
    "keyframes": Keyframes(),
    "adaptive": Adaptive(),
}
