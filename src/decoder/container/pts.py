"""Times for pictures whose packets have none of their own; child processes only."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from av.video.frame import VideoFrame

MAX_HELD = 32
"""Pictures that wait for a time; a stream that never has one again would fill the memory with them."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A time, and which picture has it."""

    number: int
    pts: int


def between_known_times(frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, int]]:
    """Give pictures, in order of showing, times as even as the known ones before and behind them allow.

    A time that is not before the next one is another picture's. A picture that cannot wait for the next one goes on at
    the rate before; where there is none, as before the first time, it is left out.
    """
    held: deque[tuple[int, VideoFrame]] = deque()
    last: _Known | None = None
    known: _Known | None = None
    number = 0
    for number, frame in enumerate(frames):
        if frame.pts is not None and (last is None or frame.pts > last.pts):
            if known is not None and known.pts < frame.pts:
                yield from _on_line(held, last, known, known.number)
                last = known
            known = _Known(number, frame.pts)
        held.append((number, frame))
        yield from _on_line(held, last, known, number - MAX_HELD)
    yield from _on_line(held, last, known, number)


def _on_line(
    held: deque[tuple[int, VideoFrame]], last: _Known | None, known: _Known | None, until: int
) -> Iterator[tuple[VideoFrame, int]]:
    """Take the pictures up to a number, at the rate from one known time to the other."""
    while held and held[0][0] <= until:
        number, frame = held.popleft()
        if last and known:
            ticks, pictures = known.pts - last.pts, known.number - last.number
            yield frame, last.pts + (number - last.number) * ticks // pictures
        elif known and number == known.number:
            yield frame, known.pts
