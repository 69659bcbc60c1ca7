"""Program: writes the pictures on screen at a grid of instants to stdout; started by sandbox.confine.

The message is a protocol.DecodeOrder. Pictures leave in presentation order, and decoding waits while nobody reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from decoder.bitstream.av1 import Av1
from decoder.bitstream.base import BitstreamParser
from decoder.bitstream.registry import parser_for
from decoder.container.film import FilmPackets
from decoder.container.frames import TimedFrame, decode_film, decode_frames
from decoder.container.open import open_video
from decoder.container.packets import Packets
from decoder.container.pts import lacks_pts
from decoder.convert.rgb import PictureConverter
from decoder.gop.pool import (
    Beginning,
    ConvertedPicture,
    DecodedPicture,
    DecoderPool,
    first_packet,
    parallel_decoders,
    prepare_decoder,
    prepared_stream,
    show_first,
)
from decoder.gop.select import GopSegment
from decoder.gop.split import needed_segments
from decoder.grid import Grid
from protocol import SEEK_RETREATS_S, DecodeOrder, DecodeStats, PictureHeader

LAYERED_CODECS = frozenset(["vp9", "av1"])
"""A keyframe may share its packet with the higher layers of its picture, which are decoded from it."""


@dataclass(frozen=True, slots=True)
class OnScreen:
    """A picture and the instants [first, stop) at which it is on screen."""

    picture: DecodedPicture
    first: int
    stop: int


class StreamReader:
    """Reads from a file the pictures that an order asks for.

    Args:
        path: local file.
        order: what to deliver.
        on_gpu: decode on the GPU, or fail.

    Attributes:
        grid: the instants of the order.
        stats: what was read and decoded so far.
    """

    def __init__(self, path: str, order: DecodeOrder, *, on_gpu: bool = False) -> None:
        self._path, self._order, self._on_gpu = path, order, on_gpu
        self.grid = Grid(order)
        self.stats = DecodeStats()
        self._first_packet = first_packet(path, order)

    def on_screen(self) -> Iterator[OnScreen]:
        """The ordered pictures with the instants that they serve, in presentation order."""
        choose = first_keyframes if self._order.keyframes_only else on_screen_at_instants
        return choose(self.pictures(), self.grid)

    def pictures(self) -> Iterator[DecodedPicture]:
        """Decode from a keyframe at or before the first ordered instant, or from the file's start if none is found."""
        target_pts = self.grid.pts_of(self.grid.start)
        can_seek = self.grid.start > 0 and self._order.info.seekable
        for retreat_s in SEEK_RETREATS_S if can_seek else ():
            with self._open() as container:
                pictures = self._pictures_after_seek(container, target_pts - self.grid.ticks(Fraction(retreat_s)))
                first = next(pictures, None)
                if first is not None and first.pts <= target_pts:
                    yield first
                    yield from pictures
                    return
        with self._open() as container:
            yield from self._joined(container) if self._order.info.is_joined else self._pictures(container)

    def _open(self) -> InputContainer:
        parts = self._order.info.parts
        return open_video(self._path, part=parts[0] if parts else None)

    def _joined(self, container: InputContainer) -> Iterator[DecodedPicture]:
        """Decode every picture of a film that is put together, or its keyframes."""
        order = self._order

        def prepare(stream: VideoStream) -> None:
            prepare_decoder(stream, order, order.threads)
            if order.keyframes_only:
                stream.codec_context.skip_frame = "NONKEY"

        packets = FilmPackets(container, self._path, order.info.parts, prepare)
        yield from self._asked_for(decode_film(packets, order.info))

    def _asked_for(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        """Without the pictures that an order for keyframes does not ask for: not every decoder skips them all."""
        return (timed for timed in frames if timed.frame.key_frame or not self._order.keyframes_only)

    def _pictures_after_seek(self, container: InputContainer, pts: int) -> Iterator[DecodedPicture]:
        """Seek, and decode from the first keyframe found; its leading pictures are dropped, they lack references."""
        try:
            container.seek(pts, stream=container.streams[self._order.info.stream_index])
        except av.error.FFmpegError:
            return
        key_pts = None
        for picture in self._pictures(container):
            if isinstance(picture, ConvertedPicture):  # from a closed GOP: what follows it needs nothing before it
                key_pts = picture.pts if key_pts is None else key_pts
                yield picture
                continue
            if key_pts is None and (picture.frame.key_frame or self._order.keyframes_only):
                key_pts = picture.pts
            if key_pts is not None and picture.pts >= key_pts:
                yield picture

    def _pictures(self, container: InputContainer) -> Iterator[DecodedPicture]:
        """Decode from the container's position: every picture, or at least the needed ones."""
        order = self._order
        stream = prepared_stream(container, order, order.threads)
        context = stream.codec_context
        if lacks_pts(stream):
            yield from self._asked_for(decode_frames(container, stream, order.info))
            return
        parser = parser_for(context.codec.canonical_name, context.extradata or b"", self._first_packet)
        if order.keyframes_only and order.info.codec in LAYERED_CODECS:
            packets = keyframe_packets(Packets(container, stream), parser)
            yield from decode_frames(container, stream, order.info, packets)
        elif order.keyframes_only:
            context.skip_frame = "NONKEY"
            show_first(context, self._first_packet)
            yield from self._asked_for(decode_frames(container, stream, order.info))
        else:
            beginning = Beginning(self._first_packet, parser.remembers)
            segments = needed_segments(self._count_read(Packets(container, stream)), self.grid, parser)
            parallel = parallel_decoders(order.threads, context.height, context.width)
            pool = DecoderPool(self._path, order, parallel, beginning, on_gpu=self._on_gpu)
            yield from pool.decode(self._count_decoded(segments))

    def _count_read(self, packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        for packet in packets:
            self.stats.packets_read += 1
            yield packet

    def _count_decoded(self, segments: Iterable[GopSegment]) -> Iterator[GopSegment]:
        for segment in segments:
            self.stats.packets_decoded += len(segment.packets)
            self.stats.closed_gops += segment.is_closed_gop
            yield segment


def keyframe_packets(packets: Iterable[Packet[VideoStream]], parser: BitstreamParser) -> Iterator[Packet[VideoStream]]:
    """The packets that begin with a keyframe; of AV1 those that the container takes for one, where not parsed."""
    for packet in packets:
        info = parser.parse(bytes(packet))
        if info.is_closed_rap or (isinstance(parser, Av1) and packet.is_keyframe and not info.frames):
            yield packet


def on_screen_at_instants(pictures: Iterator[DecodedPicture], grid: Grid) -> Iterator[OnScreen]:
    """Pair pictures with the instants at which they are on screen.

    Of pictures at one time, which are layers of a scalable stream, the last one has the highest quality. A picture
    stays on screen until the next one's time. The last one that is decoded stays for its own duration, but at
    least for the mean time between pictures: libav guesses the durations that a container does not have. The last one
    of the film stays until the end.
    """
    held: DecodedPicture | None = None
    next_index = grid.start
    for picture in pictures:
        if held is not None and picture.pts < held.pts:
            continue
        end_index = min(grid.first_index_from(picture.pts), grid.stop)
        if held is not None and end_index > next_index:
            yield OnScreen(held, next_index, end_index)
        next_index = max(next_index, end_index)
        held = picture
        if next_index >= grid.stop:
            return
    if held is not None:
        end_pts = held.pts + max(held.duration, grid.mean_interval_ticks)
        if held.pts >= grid.last_pts:
            end_pts = max(end_pts, grid.end_pts)
        end_index = min(grid.first_index_from(end_pts), grid.stop)
        if end_index > next_index:
            yield OnScreen(held, next_index, end_index)


def first_keyframes(pictures: Iterator[DecodedPicture], grid: Grid) -> Iterator[OnScreen]:
    """Pair the first intra picture that starts between two instants with all instants until the next such picture."""
    held: DecodedPicture | None = None
    first = grid.start
    for picture in pictures:
        if isinstance(picture, ConvertedPicture):
            continue
        interval = grid.last_index_until(picture.pts)
        if interval >= grid.stop:
            break
        if interval >= first + (held is not None):
            if held is not None:
                yield OnScreen(held, first, interval)
            held, first = picture, interval
        elif held is not None and picture.pts == held.pts:
            held = picture
    if held is not None:
        yield OnScreen(held, first, grid.stop)


def main(video: str, message: str, *, on_gpu: bool) -> None:
    """Write the pictures that a DecodeOrder asks for, and what was done for them, to stdout."""
    order = DecodeOrder.from_json(message)
    reader = StreamReader(video, order, on_gpu=on_gpu)
    converter = PictureConverter.for_order(order)
    for shown in reader.on_screen():
        picture = shown.picture
        if isinstance(picture, ConvertedPicture):
            pixels, has_bars = picture.pixels, picture.has_bars
        else:
            pixels, has_bars = converter.convert(picture.frame, picture.orientation), converter.has_bars
        reader.stats.with_bars += has_bars
        time_s = reader.grid.seconds(picture.pts)
        _write(PictureHeader(shown.first, shown.stop - shown.first, time_s, picture.is_damaged).to_bytes())
        _write(pixels.data.cast("B"))
    _write(PictureHeader(order.stop, 0, 0.0, is_damaged=False).to_bytes() + reader.stats.to_bytes())


def _write(part: bytes | memoryview) -> None:
    while part:
        part = part[os.write(1, part) :]
