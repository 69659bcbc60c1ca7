"""Gives the pictures of a stream the times at which an edited film shows them.

Each edit is decoded as a film of its own, from a keyframe before it, with the instants of the order carried over to the
stream's clock. So a stretch may begin anywhere, be shown twice, or at another speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from decoder.container.frames import TimedFrame
from decoder.gop.account import LostPicture
from decoder.gop.decoder import ConvertedPicture
from decoder.gop.pool import DecodedPicture
from decoder.grid import Grid
from protocol import DecodeOrder
from records import Edit

ReadStream = Callable[[DecodeOrder, Grid], Iterator[DecodedPicture]]
"""Decodes what an order asks for at some instants, all in times of the stream."""


@dataclass(frozen=True, slots=True)
class EndOfEdit(LostPicture):
    """From its time on nothing is on screen, until a picture follows."""


def edited_pictures(order: DecodeOrder, grid: Grid, read: ReadStream) -> Iterator[DecodedPicture]:
    """The pictures of an edited film at their times in it, and after each edit its end.

    Args:
        order: of a film with edits.
        grid: the instants.
        read: decodes one edit.
    """
    edits = order.info.edits
    for edit, following in zip_longest(edits, edits[1:]):
        # A keyframe serves the interval between two instants in which it begins, although the edit may hold neither.
        first = grid.last_index_until(edit.start_pts) if order.keyframes_only else grid.first_index_from(edit.start_pts)
        start, stop = max(grid.start, first), min(grid.stop, grid.first_index_from(edit.stop_pts))
        if start >= stop:
            continue
        part = _on_clock_of_stream(edit, order)
        pictures = read(part, grid.part(part, start, stop))
        if not order.keyframes_only:
            yield from _shown(edit, pictures, grid)
            continue
        yield from _keyframes(edit, pictures)
        if following and grid.last_index_until(edit.stop_pts) < grid.last_index_until(following.start_pts):
            yield EndOfEdit(edit.stop_pts)


def _on_clock_of_stream(edit: Edit, order: DecodeOrder) -> DecodeOrder:
    """The order with its instants on the stream's clock as an edit has them.

    They keep their numbers. The rate of the grid counts instants in a second of the stream; a still has them all within
    one tick.
    """
    info = order.info
    if edit.is_still:
        first_pts, fps = edit.media_pts, order.grid.fps * (2 + edit.stop_pts - info.first_pts)
    else:
        first_pts = edit.media_pts + math.ceil((info.first_pts - edit.start_pts) * edit.rate)
        fps = order.grid.fps / edit.rate
    return replace(order, info=replace(info, first_pts=first_pts), grid=replace(order.grid, fps=fps))


def _shown(edit: Edit, pictures: Iterator[DecodedPicture], grid: Grid) -> Iterator[DecodedPicture]:
    """The pictures of one edit: first the one that is on screen when it begins, however long it has been."""
    held: TimedFrame | ConvertedPicture | None = None
    has_begun = False
    end_pts = edit.stop_pts
    for picture in pictures:
        if picture.pts >= max(edit.media_stop_pts, edit.media_pts + 1):
            break
        if picture.pts > edit.media_pts and not has_begun:
            has_begun = True
            if held is not None:
                yield _retimed(held, edit)
        if not isinstance(picture, LostPicture):
            held = picture
        elif held is not None and not has_begun:
            held = held.damaged()
        if has_begun:
            yield _retimed(picture, edit)
    else:  # the stream ends
        if held is not None and not edit.is_still:
            last_pts = held.pts + max(held.duration, grid.mean_interval_ticks)
            end_pts = min(end_pts, edit.shown_pts(last_pts))
    if held is not None and not has_begun:
        yield _retimed(held, edit)
    yield EndOfEdit(end_pts)


def _keyframes(edit: Edit, pictures: Iterator[DecodedPicture]) -> Iterator[DecodedPicture]:
    """The keyframes that begin within an edit."""
    for picture in pictures:
        if picture.pts >= max(edit.media_stop_pts, edit.media_pts + 1):
            return
        if picture.pts >= edit.media_pts:
            yield _retimed(picture, edit)


def _retimed(picture: DecodedPicture, edit: Edit) -> DecodedPicture:
    return replace(picture, pts=edit.shown_pts(picture.pts))
