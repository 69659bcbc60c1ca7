"""Pairs the pictures of a film with the sampling instants at which they are on screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from decoder.container.frames import TimedFrame
from decoder.edited import EndOfEdit
from decoder.gop.account import LostPicture
from decoder.gop.decoder import ConvertedPicture
from decoder.gop.pool import DecodedPicture
from decoder.grid import Grid
from records import UnseenReason


@dataclass(frozen=True, slots=True)
class OnScreen:
    """A picture and the instants [first, stop) at which it is on screen."""

    picture: TimedFrame | ConvertedPicture
    first: int
    stop: int
    unseen: UnseenReason | None = None
    """Why this is not what should be on screen."""


def on_screen_at_instants(pictures: Iterator[DecodedPicture], grid: Grid) -> Iterator[OnScreen]:
    """Pair pictures with the instants at which they are on screen.

    Of pictures at one time, which are layers of a scalable stream, the last one has the highest quality. A picture
    stays on screen until the next one's time, or until that of a lost one. After that, the last one that was seen at an
    instant stands in for what cannot be told. The last one that is decoded stays for its own duration, but at least for
    the mean time between pictures: libav guesses the durations that a container does not have. The last one of the film
    stays until the end.
    """
    held: OnScreen | None = None
    last: OnScreen | None = None
    shown_pts, next_index = 0, grid.start
    for picture in pictures:
        is_late = held is not None and picture.pts < shown_pts
        if is_late or (isinstance(picture, LostPicture) and (held is None or picture.pts == shown_pts)):
            continue
        end_index = min(grid.first_index_from(picture.pts), grid.stop)
        if held is not None and end_index > next_index:
            last = replace(held, first=next_index, stop=end_index)
            yield last
        next_index = max(next_index, end_index)
        held = _appearing(picture, last)
        shown_pts = picture.pts
        if next_index >= grid.stop:
            return
    if held is not None:
        end_pts = shown_pts + grid.mean_interval_ticks
        if held.unseen is not UnseenReason.MISSING:
            end_pts = max(end_pts, shown_pts + held.picture.duration)
        if shown_pts >= grid.last_pts:
            end_pts = max(end_pts, grid.end_pts)
        end_index = min(grid.first_index_from(end_pts), grid.stop)
        if end_index > next_index:
            yield replace(held, first=next_index, stop=end_index)


def _appearing(picture: DecodedPicture | EndOfEdit, last: OnScreen | None) -> OnScreen | None:
    """What is on screen from the time of a picture on.

    Args:
        picture: the next one.
        last: the last one that was seen. Not the one before this: some decoders return more than is seen.
    """
    if isinstance(picture, EndOfEdit):
        return None
    return _missing(last) if isinstance(picture, LostPicture) else _shown(picture)


def _shown(picture: TimedFrame | ConvertedPicture) -> OnScreen:
    """A picture that appears; at which instants is not known yet."""
    return OnScreen(picture, 0, 0, UnseenReason.DAMAGED if picture.is_damaged else None)


def _missing(held: OnScreen | None) -> OnScreen | None:
    """What stays on screen in place of a lost picture."""
    return None if held is None else replace(held, unseen=UnseenReason.MISSING)


def first_keyframes(pictures: Iterator[DecodedPicture], grid: Grid) -> Iterator[OnScreen]:
    """Pair the first intra picture that starts between two instants with all instants until the next such picture."""
    held: OnScreen | None = None
    first = grid.start
    for picture in pictures:
        if isinstance(picture, ConvertedPicture):
            continue
        interval = grid.last_index_until(picture.pts)
        if interval >= grid.stop:
            break
        if isinstance(picture, LostPicture) and (held is None or held.unseen is UnseenReason.MISSING):
            continue
        if interval >= first + (held is not None):
            if held is not None:
                yield replace(held, first=first, stop=interval)
            first = interval
            held = _shown(picture) if isinstance(picture, TimedFrame) else _missing(held)
        elif held is not None and isinstance(picture, TimedFrame) and picture.pts == held.picture.pts:
            held = _shown(picture)
    if held is not None:
        yield replace(held, first=first, stop=grid.stop)


class Substitutes:
    """Pictures for the parts of a film in which no keyframe begins: those on screen at the parts' starts.

    All are decoded in one pass, which begins at the first one that is asked for.

    Args:
        starts: the instants at which the parts begin.
        decoded: returns the pictures on screen at some instants, which it numbers from 0.
    """

    def __init__(self, starts: Sequence[int], decoded: Callable[[Sequence[int]], Iterator[OnScreen]]) -> None:
        self._starts, self._decoded = starts, decoded
        self._pass: Iterator[OnScreen] | None = None
        self._first_part = 0
        self._last: OnScreen | None = None

    def at_start_of(self, part: int) -> OnScreen | None:
        """The picture on screen at the start of a part, if there is one; parts are asked for in their order."""
        if self._pass is None:
            self._pass, self._first_part = self._decoded(self._starts[part:]), part
            self._last = next(self._pass, None)
        instant = part - self._first_part
        while self._last is not None and self._last.stop <= instant:
            self._last = next(self._pass, None)
        return self._last if self._last is not None and self._last.first <= instant else None


def with_substitutes(
    keyframes: Iterator[OnScreen], starts: Sequence[int], stop: int, substitutes: Substitutes
) -> Iterator[OnScreen]:
    """Add a picture for each part of a film in which no keyframe begins.

    Args:
        keyframes: with the instants of the order.
        starts: the instants at which the parts begin.
        stop: the end of the last part.
        substitutes: for the same parts.
    """
    shown = next(keyframes, None)
    for part, (part_start, part_stop) in enumerate(pairwise([*starts, stop])):
        has_keyframe = False
        while shown is not None and shown.first < part_stop:
            has_keyframe |= shown.first >= part_start and shown.unseen is not UnseenReason.MISSING
            yield shown
            shown = next(keyframes, None)
        if not has_keyframe and (substitute := substitutes.at_start_of(part)) is not None:
            yield replace(substitute, first=part_start, stop=part_stop)
    if shown is not None:
        yield shown
        yield from keyframes
