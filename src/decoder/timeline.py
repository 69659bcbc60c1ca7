"""Which stretches of a stream a film shows, and when: its edit list, applied to the pictures that the stream has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from decoder.container.edit_list import EditList
from decoder.times import PacketTimes, is_variable
from protocol import MAX_PICTURES
from records import Edit

LONGEST_ROUNDING_S = Fraction(1, 500)
"""An edit's time may be rounded to a tick of the movie, of which there are 600 or 1000 a second; at most by this."""
LATEST_PTS = 2**62
"""Later times count as this one; the film is too long anyway."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A row of the list in ticks of the stream."""

    start: Fraction
    stop: Fraction
    media_pts: int
    rate: Fraction


def edits_of(edit_list: EditList, times: PacketTimes, tick_s: Fraction) -> tuple[Edit, ...]:
    """The edits of a film in order, cut to what its stream holds; none if nothing of it is shown.

    Between two of them, and before the first one, nothing is on screen. The film ends with the last one. Where a
    picture would be on screen for less than the rounding of the list's times, at the beginning or end of an edit, it is
    none of the edit's: what was meant is the picture beside it.

    Args:
        edit_list: of the track.
        times: of the stream's pictures, without the edit list.
        tick_s: of the stream.
    """
    rounding_s = min(Fraction(1, edit_list.movie_hz), LONGEST_ROUNDING_S)
    mean_ticks = Fraction(times.end_pts - int(times.pts[0]), len(times.pts))
    rounding_ticks = min(max(Fraction(1), rounding_s / tick_s), mean_ticks / 4)
    edits: list[Edit] = []
    raw_stop, snapped_stop = Fraction(-1), 0
    for stretch in _merged(list(_stretches(edit_list, tick_s)), rounding_ticks):
        start = snapped_stop if stretch.start == raw_stop else math.floor(stretch.start)
        edit = _fitted(stretch, start, times, rounding_ticks)
        if edit is None:
            continue
        if edit.stop_pts >= stretch.stop - 1 - rounding_ticks:  # what follows it is no gap
            raw_stop, snapped_stop = stretch.stop, edit.stop_pts
        edits.append(edit)
    return tuple(edits)


def _stretches(edit_list: EditList, tick_s: Fraction) -> Iterator[_Stretch]:
    """The rows that show something."""
    scale = 1 / (edit_list.movie_hz * tick_s)
    at = 0
    for entry in edit_list.entries:
        start = min(at * scale, Fraction(LATEST_PTS))
        if entry.duration is None:
            if not entry.is_empty and entry.rate:
                yield _Stretch(start, Fraction(LATEST_PTS), entry.media_time, entry.rate)
            return
        at += entry.duration
        stop = min(at * scale, Fraction(LATEST_PTS))
        if not entry.is_empty and start < stop:
            yield _Stretch(start, stop, entry.media_time, entry.rate)


def _merged(stretches: Sequence[_Stretch], rounding_ticks: Fraction) -> list[_Stretch]:
    """Join those that go on where the one before ended, in the film and in the stream, at most rounded."""
    merged: list[_Stretch] = []
    for stretch in stretches:
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.stop == stretch.start
            and last.rate == stretch.rate == 1
            and abs(last.media_pts + stretch.start - last.start - stretch.media_pts) <= rounding_ticks + 1
        ):
            merged[-1] = replace(last, stop=stretch.stop)
        else:
            merged.append(stretch)
    return merged


def _fitted(stretch: _Stretch, start: int, times: PacketTimes, rounding_ticks: Fraction) -> Edit | None:
    """What a stretch shows of the pictures that there are; None if it shows none.

    Args:
        stretch: see edits_of.
        start: when it begins, if all that it shows is there.
        times: see edits_of.
        rounding_ticks: by which times may be rounded.
    """
    first_pts, media_pts, rate = int(times.pts[0]), stretch.media_pts, stretch.rate
    if media_pts < first_pts:
        if not rate:
            return None
        late_ticks = first_pts - media_pts
        start += math.ceil(late_ticks / rate) if late_ticks > rounding_ticks else 0
        media_pts = first_pts
    following = int(np.searchsorted(times.pts, media_pts, "right")) if media_pts < times.end_pts else len(times.pts)
    if following < len(times.pts) and times.pts[following] - media_pts <= rounding_ticks:
        media_pts = int(times.pts[following])
    if media_pts >= times.end_pts:
        return None
    if not rate:
        stop = math.floor(stretch.stop)
        return Edit(start, stop, media_pts, media_pts) if start < stop else None
    stop = min(math.floor(stretch.stop), start + math.floor((times.end_pts - media_pts) / rate))
    if start >= stop:
        return None
    media_stop_pts = media_pts + math.floor((stop - start) * rate)
    last = int(times.pts[np.searchsorted(times.pts, media_stop_pts) - 1])
    if media_pts < last and media_stop_pts - last <= rounding_ticks * rate and media_stop_pts < times.end_pts:
        stop -= math.floor((media_stop_pts - last) / rate)
        media_stop_pts = last
    return Edit(start, stop, media_pts, media_stop_pts)


def edited_times(times: PacketTimes, edits: Sequence[Edit]) -> PacketTimes | None:
    """When the pictures of a film are shown.

    Args:
        times: of its stream's pictures, without the edit list.
        edits: at least one.

    Returns:
        None if there are more than MAX_PICTURES.
    """
    stretches: list[range] = []
    for edit in edits:
        first = int(np.searchsorted(times.pts, edit.media_pts, "right")) - 1
        stop = int(np.searchsorted(times.pts, edit.media_stop_pts))
        stretches.append(range(first, max(first + 1, stop)))
    count = sum(map(len, stretches))
    if count > MAX_PICTURES:
        return None
    shown = []
    for edit, stretch in zip(edits, stretches, strict=True):
        since = np.maximum(times.pts[stretch.start : stretch.stop] - edit.media_pts, 0)
        shown.append(edit.start_pts + (since if edit.rate in {0, 1} else (since / float(edit.rate)).astype(np.int64)))
    pts = np.concatenate(shown)
    return replace(
        times,
        count=count,
        pts=pts,
        last_pts=int(pts[-1]),
        end_pts=edits[-1].stop_pts,
        is_variable=is_variable(np.diff(pts)),
    )
