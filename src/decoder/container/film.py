"""The film in a file: the files and streams that it is read from, and all its packets in decoding order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from decoder.container.formats import CONCATENABLE
from decoder.container.joined import starts_of_files
from decoder.container.open import open_video
from decoder.container.packets import Packets
from decoder.container.streams import Film, choose_film, is_supported
from protocol import MAX_PARTS, MAX_STREAMS
from records import OtherStream, Part


class TooManyStreams(Exception):
    """A file has more streams than are opened: libav would lose packets of those that are."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the film stands in a file."""

    parts: tuple[Part, ...]
    """At least one if there is a film."""
    others: tuple[OtherStream, ...]
    """The streams of pictures in the first part that are not the film."""
    unread_parts: int
    """Files inside the file that hold nothing that can be shown."""
    unread_bytes: int
    """Their size."""
    size_bytes: int
    """Of the whole file."""

    @property
    def unread_share(self) -> float:
        """The size of what cannot be shown, divided by the size of what can."""
        return self.unread_bytes / (self.size_bytes - self.unread_bytes)

    def without(self, empty: Sequence[Part]) -> Layout:
        """The same film without parts that turned out to hold nothing."""
        unread_bytes = self.unread_bytes + sum(part.size_bytes for part in empty)
        parts = tuple(part for part in self.parts if part not in empty)
        return replace(self, parts=parts, unread_parts=self.unread_parts + len(empty), unread_bytes=unread_bytes)

    @property
    def is_ordinary(self) -> bool:
        """One stream of one file, all of whose streams a demuxer finds as it opens the file."""
        part = self.parts[0]
        return len(self.parts) == 1 and not part.has_late_streams and part.size_bytes == self.size_bytes


def layout_of(path: str, container: InputContainer) -> Layout:
    """Find the film.

    Args:
        path: local file.
        container: all of it, freshly opened. If there is a choice of streams, its packets are read.

    Raises:
        TooManyStreams: see there.
        av.error.FFmpegError: the file cannot be read any more.
    """
    starts = starts_of_files(Path(path), container.format.name)
    stop_byte = Path(path).stat().st_size
    parts: list[Part] = []
    others: tuple[OtherStream, ...] = ()
    unread_parts = unread_bytes = 0
    for start, stop in pairwise([*starts, stop_byte]):
        found = None
        if len(parts) < MAX_PARTS:
            found = _found_in(path, start, stop, container if len(starts) == 1 else None)
        if found is None:
            unread_parts, unread_bytes = unread_parts + 1, unread_bytes + stop - start
            continue
        film, has_late_streams = found
        others = others if parts else film.others
        parts += [
            Part(start, stop, turn.stream, turn.first_byte, turn.end_byte, has_late_streams) for turn in film.turns
        ]
    return Layout(tuple(parts[:MAX_PARTS]), others, unread_parts, unread_bytes, stop_byte)


def _found_in(path: str, start: int, stop: int, container: InputContainer | None) -> tuple[Film, bool] | None:
    """The film of a file, or of one inside it, and whether some of its streams appear late; None if it has none."""
    part = Part(start, stop, 0, 0, stop - start, has_late_streams=False)
    try:
        with nullcontext(container) if container else open_video(path, part=part) as opened:
            is_scanned = opened.format.name in CONCATENABLE
            with (
                open_video(path, part=replace(part, has_late_streams=True))
                if is_scanned
                else nullcontext(opened) as all_of_it
            ):
                if len(all_of_it.streams) >= MAX_STREAMS:
                    raise TooManyStreams
                film = choose_film(all_of_it)
                if film is None or not (container or is_supported(film_stream(all_of_it, film.turns[0].stream))):
                    return None
                return film, len(all_of_it.streams) > len(opened.streams)
    except av.error.FFmpegError:
        if container:
            raise
        return None


class FilmPackets:
    """The packets of all parts of a film, on one clock that counts in ticks of the first stream.

    Args:
        container: the first part, at the position to read from.
        path: local file.
        parts: of the film.
        prepare: sets up the decoder of each stream before its packets are read.

    Attributes:
        is_cut_off: some part ended too early; known once all packets are read.
        has_losses: packets are missing between those of some part.
        is_uniform: clock, stream and configuration have stayed the same so far.
        empty: the parts without a packet, among those that were read.
    """

    def __init__(
        self,
        container: InputContainer,
        path: str,
        parts: tuple[Part, ...],
        prepare: Callable[[VideoStream], None] = lambda _: None,
    ) -> None:
        self._container, self._path, self._parts, self._prepare = container, path, parts, prepare
        self.is_cut_off = self.has_losses = False
        self.is_uniform = len(parts) == 1
        self.empty: list[Part] = []

    def __iter__(self) -> Iterator[Packet[VideoStream]]:
        return chain.from_iterable(run for _, run in self.runs())

    def runs(self) -> Iterator[tuple[VideoStream, Packets]]:
        """Each stream with its packets, as often as it takes turns; a run must be used up before the next one."""
        clock = None
        container, opened = self._container, self._parts[0]
        prepared: set[int] = set()
        for part in self._parts:
            if part.start_byte != opened.start_byte:
                container, opened, prepared = open_video(self._path, part=part), part, set()
            elif clock is not None:
                container.seek(0, unsupported_byte_offset=True)
            stream = film_stream(container, part.stream)
            if part.stream not in prepared:
                self._prepare(stream)
                prepared.add(part.stream)
            packets = Packets(container, stream, clock=clock, part=part)
            clock = packets.clock
            yield stream, packets
            self.is_cut_off |= packets.is_cut_off
            self.has_losses |= packets.has_losses
            self.is_uniform &= packets.is_uniform
            if not packets.has_begun:
                self.empty.append(part)


def film_stream(container: InputContainer, index: int) -> VideoStream:
    """A stream that belongs to the film."""
    stream = container.streams[index]
    assert isinstance(stream, VideoStream)  # choose_film chose it
    return stream
