"""What an input of the corpus is: how it is made, and what the worker should say of it."""

from collections.abc import Callable
from dataclasses import dataclass

from clips import RATE_FPS

UNREADABLE_NUMBER = -1
"""Stands for a picture that carries no readable number."""


@dataclass(frozen=True, slots=True)
class Part:
    """A span of the video in which numbered pictures follow each other at a constant rate; half-open, in seconds."""

    start_s: float
    stop_s: float
    first: int
    """The number of the picture that appears at start_s."""
    rate_fps: float = RATE_FPS
    share: tuple[float, float] = (1.0, 1.0)
    """How much of a frame's width and height the picture fills, in the middle."""

    @property
    def last(self) -> int:
        """The number of the picture that disappears at stop_s."""
        return self.number_at(self.stop_s - 0.001)

    def number_at(self, at_s: float) -> int:
        """Return the number on screen; a microsecond early counts as in time."""
        return self.first + int((at_s - self.start_s + 1e-6) * self.rate_fps)


@dataclass(frozen=True, slots=True)
class Right:
    """What is right for an input.

    Every frame shows the picture that is on screen at its time, or is said to be damaged, or lies in a span that is
    said to be unseen. A complete result has a frame for every instant of its parts.
    """

    parts: tuple[Part, ...] = ()
    """What is on screen, in the order of time. Between two parts the last picture may be held, or nothing be shown."""
    status: str = "complete"
    """`complete`, `partial`, or the code of a refusal."""
    coverage: tuple[float, float] = (1.0, 1.0)
    """The least and the most."""
    duration_s: float | None = None
    num_pictures: int | None = None
    size_px: tuple[int, int] | None = (256, 128)
    """Width and height; None where several would be right."""
    patches: tuple[tuple[int, int, int], ...] = ()
    """The RGB colours of the picture's patches, four in a row, where it carries no number."""
    says: tuple[str, ...] = ()
    """Words of which one stands in the sentences beside the answer, or in the error."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An input, and how the worker should read it."""

    name: str
    """Of the file."""
    kind: str
    make: Callable[[], bytes]
    right: Right
    also_right: tuple[Right, ...] = ()
    """Other answers that are honest."""
    sample_fps: float = RATE_FPS
    sampling: str = "uniform"
    is_exact: bool = False
    """The pixels are also compared with those of a full decode, from the start and from the middle."""
    is_quick: bool = False
    """It stands for its kind in `make test`."""


def whole(count: int, *, first: int = 0, rate_fps: float = RATE_FPS, size_px: tuple[int, int] = (256, 128)) -> Right:
    """Return what is right for a film of numbered pictures of which nothing is missing."""
    duration_s = count / rate_fps
    return Right((Part(0, duration_s, first, rate_fps),), duration_s=duration_s, num_pictures=count, size_px=size_px)
