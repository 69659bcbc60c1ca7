"""Chooses the streams that hold the film: what a viewer would show of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise, zip_longest

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from decoder.container.ebml import disabled_streams
from decoder.container.formats import CONCATENABLE, MATROSKA, MP4
from decoder.container.open import place_of
from protocol import CODECS, MAX_OTHER_STREAMS
from records import OtherStream

SHORT_SHARE = 0.1
"""A small stream with less than this share of a larger one's length is a preview of it."""
SAME_LENGTH_SHARE = 0.9
"""Streams whose lengths differ by less are equally long: sizes decide."""
PREVIEW_SHRINKAGE = 4
"""How much smaller than the film's the pictures are of a preview that is as long as it, and has few pictures."""
SWITCHES_SHARE = 0.5
"""Two streams of pictures take turns if the file switches between them less often than the shorter one has pictures,
by this factor; streams that are shown at the same time alternate with nearly every picture."""
MAX_TURNS = 50


@dataclass(frozen=True, slots=True)
class Turn:
    """A stream and the positions of its packets, in bytes, for as long as it holds the film."""

    stream: int
    """Its index."""
    first_byte: int
    end_byte: int
    """Half-open."""


@dataclass(frozen=True, slots=True)
class Film:
    """The streams that hold the film, and those that do not."""

    turns: tuple[Turn, ...]
    """In order; one that takes in everything where the film is one stream."""
    others: tuple[OtherStream, ...]


@dataclass(frozen=True, slots=True)
class _Measured:
    """A stream of pictures and what its packets say."""

    stream: VideoStream
    num_pictures: int
    length_s: Fraction

    @property
    def pixels(self) -> int:
        context = self.stream.codec_context
        return context.width * context.height if context else 0

    @property
    def is_default(self) -> bool:
        """Flagged as the one to show; MP4 flags every enabled track."""
        return bool(self.stream.disposition & Disposition.default)

    @property
    def is_decodable(self) -> bool:
        return self.num_pictures > 0 and is_supported(self.stream)

    @property
    def is_marked_as_picture(self) -> bool:
        return bool(self.stream.disposition & (Disposition.timed_thumbnails | Disposition.still_image))

    def is_preview_of(self, other: _Measured) -> bool:
        """Whether it is a small, short or sparse version of another stream."""
        if self.pixels >= other.pixels:
            return False
        is_sparse = self.num_pictures < other.num_pictures * SHORT_SHARE
        is_tiny = self.pixels * PREVIEW_SHRINKAGE <= other.pixels
        return self.length_s < other.length_s * Fraction(SHORT_SHARE) or (is_sparse and is_tiny)

    def as_other(self) -> OtherStream:
        context = self.stream.codec_context
        codec = context.codec.canonical_name if context else "unknown"
        width_px, height_px = (context.width, context.height) if context else (0, 0)
        return OtherStream(self.stream.index, codec, width_px, height_px, self.num_pictures)


def moving_streams(container: InputContainer) -> list[VideoStream]:
    """The streams of pictures, without cover art and the still pictures of HEIF files."""
    return [stream for stream in container.streams.video if not _is_still(stream)]


def is_supported(stream: VideoStream) -> bool:
    """Whether there is a decoder for a stream that may be used."""
    context = stream.codec_context
    return context is not None and context.codec.canonical_name in CODECS


def choose_film(container: InputContainer) -> Film | None:
    """Choose as players do: by the default flag, then by length, then by size.

    A track that is not enabled, a single picture or a preview counts only if there is nothing else. In containers in
    which a programme may go on in another stream, the streams that take turns with the chosen one belong to the film.
    Where there is a choice, all packets are read.

    Returns:
        None if there is no stream of moving pictures.
    """
    moving = moving_streams(container)
    if not moving:
        return None
    if len(moving) == 1:
        return Film((Turn(moving[0].index, 0, container.size),), ())
    measured, order = _measure(container, moving)
    chosen = _best(measured, _disabled(container))
    indices = {chosen.stream.index}
    if container.format.name in CONCATENABLE:
        for one in sorted(measured, key=lambda one: -one.num_pictures):
            with_one = [packet for packet in order if packet.stream in indices | {one.stream.index}]
            if one is not chosen and one.is_decodable and _take_turns(with_one):
                indices.add(one.stream.index)
    starts = [next(run) for _, run in groupby((packet for packet in order if packet.stream in indices), _stream_of)]
    turns = [
        Turn(start.stream, start.at_byte, following.at_byte if following else container.size)
        for start, following in zip_longest(starts, starts[1:])
    ]
    turns = turns or [Turn(chosen.stream.index, 0, container.size)]
    turns[0] = replace(turns[0], first_byte=0)
    others = [one.as_other() for one in measured if one.stream.index not in indices]
    return Film(tuple(turns), tuple(others[:MAX_OTHER_STREAMS]))


def _is_still(stream: VideoStream) -> bool:
    is_heif_item = stream.frames == 1 and stream.duration is None and stream.time_base == 1  # no track has such a clock
    return is_heif_item or bool(stream.disposition & Disposition.attached_pic)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a packet begins, and the stream that it belongs to."""

    at_byte: int
    stream: int


def _stream_of(place: _Place) -> int:
    return place.stream


def _measure(container: InputContainer, streams: Sequence[VideoStream]) -> tuple[list[_Measured], list[_Place]]:
    """Count the pictures of streams, and list their packets in the order of the file.

    Demuxers give the last packet of a stream only as the next one begins, or at the end of the file.
    """
    order: list[_Place] = []
    spans: dict[int, tuple[int, int]] = {}
    at_byte: dict[int, int] = {}
    try:
        for packet in container.demux(*streams):
            index = packet.stream.index
            if not packet.size:
                continue
            at_byte[index] = packet.pos if packet.pos is not None else at_byte.get(index, 0)
            order.append(_Place(at_byte[index], index))
            pts = packet.dts if packet.pts is None else packet.pts
            if pts is not None:
                first, last = spans.get(index, (pts, pts))
                spans[index] = min(first, pts), max(last, pts + (packet.duration or 0))
    except av.error.FFmpegError:
        pass  # what comes after damage is not measured
    counts = Counter(map(_stream_of, order))
    measured = [
        _Measured(stream, counts[stream.index], _length_s(stream, spans.get(stream.index, (0, 0))))
        for stream in streams
    ]
    return measured, sorted(order, key=lambda place: place.at_byte)


def _length_s(stream: VideoStream, span: tuple[int, int]) -> Fraction:
    assert stream.time_base  # libav gives every stream of a file one
    return (span[1] - span[0]) * stream.time_base


def _disabled(container: InputContainer) -> frozenset[int]:
    """The indices of the streams of pictures that are not enabled."""
    if container.format.name == MATROSKA:
        return disabled_streams(*place_of(container))
    if container.format.name == MP4:
        streams = container.streams.video
        return frozenset(stream.index for stream in streams if not stream.disposition & Disposition.default)
    return frozenset()


def _best(streams: Sequence[_Measured], disabled: frozenset[int]) -> _Measured:
    """The stream to show; each rule chooses among those that the rules before it left."""
    left = _those(streams, [one for one in streams if one.is_decodable])
    left = _those(left, [one for one in left if one.num_pictures > 1 and not one.is_marked_as_picture])
    left = _those(left, [one for one in left if one.stream.index not in disabled])
    left = _those(left, [one for one in left if not any(one.is_preview_of(other) for other in left)])
    left = _those(left, [one for one in left if one.is_default])
    longest_s = max(one.length_s for one in left)
    left = _those(left, [one for one in left if one.length_s >= longest_s * Fraction(SAME_LENGTH_SHARE)])
    return max(left, key=lambda one: (one.pixels, -one.stream.index))


def _those(left: Sequence[_Measured], chosen: Sequence[_Measured]) -> Sequence[_Measured]:
    """What a rule chose, or everything if it left nothing."""
    return chosen or left


def _take_turns(order: Sequence[_Place]) -> bool:
    """Whether the film goes on in the one stream as the other ends, instead of both being shown at a time."""
    switches = sum(before.stream != after.stream for before, after in pairwise(order))
    shortest = min(Counter(map(_stream_of, order)).values(), default=0)
    return switches <= min(shortest * SWITCHES_SHARE, MAX_TURNS)
