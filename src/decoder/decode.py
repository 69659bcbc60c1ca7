"""Program: writes the pictures on screen at a grid of instants to stdout; started by sandbox.confine.

The message is a protocol.DecodeOrder. Pictures leave in presentation order, and decoding waits while nobody reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from decoder.bitstream.av1 import Av1
from decoder.bitstream.base import BitstreamParser, ReferenceInfo
from decoder.bitstream.registry import parser_for
from decoder.container.film import FilmPackets
from decoder.container.frames import TimedFrame, decode_frames
from decoder.container.open import open_video
from decoder.container.packets import Packets
from decoder.container.present import MissingBytes, Present
from decoder.convert.rgb import PictureConverter
from decoder.edited import edited_pictures
from decoder.gop.access_unit import AccessUnit
from decoder.gop.account import LostPicture, PictureAccount, facts_of
from decoder.gop.decoder import Beginning, ConvertedPicture, first_packet, prepare_decoder, prepared_stream, show_first
from decoder.gop.inspection import InspectedPacket, inspected
from decoder.gop.pool import DecodedPicture, DecoderPool, parallel_decoders
from decoder.gop.select import GopSegment
from decoder.gop.split import needed_segments
from decoder.grid import Grid, ListedInstants
from decoder.on_screen import OnScreen, Substitutes, first_keyframes, on_screen_at_instants, with_substitutes
from protocol import SEEK_RETREATS_S, DecodeOrder, DecodeStats, PictureHeader
from records import UnseenReason

LAYERED_CODECS = frozenset(["vp9", "av1"])
"""A keyframe may share its packet with the higher layers of its picture, which are decoded from it."""


class StreamReader:
    """Reads from a file the pictures that an order asks for.

    Args:
        path: local file.
        order: what to deliver.
        on_gpu: decode on the GPU, or fail.
        grid: the instants, if they are not all of the order's.
        stats: of other orders for the file, to which this one is added.

    Attributes:
        grid: the instants.
        stats: what was read and decoded so far.
    """

    def __init__(
        self,
        path: str,
        order: DecodeOrder,
        *,
        on_gpu: bool = False,
        grid: Grid | None = None,
        stats: DecodeStats | None = None,
    ) -> None:
        self._path, self._order, self._on_gpu = path, order, on_gpu
        self.grid = grid or Grid(order)
        self.stats = stats or DecodeStats()
        self._first_packet = first_packet(path, order)
        self._present = Present(order.info.present)
        self._whole_grid = Grid(order)

    def on_screen(self) -> Iterator[OnScreen]:
        """The ordered pictures with the instants that they serve, in presentation order."""
        pictures = self._pictures_of_film()
        if not self._order.keyframes_only:
            return on_screen_at_instants(pictures, self.grid)
        starts = [start for start in self._order.chunk_starts if self.grid.start <= start < self.grid.stop]
        substitutes = Substitutes(starts, self._whatever_is_on_screen)
        return with_substitutes(first_keyframes(pictures, self.grid), starts, self.grid.stop, substitutes)

    def _whatever_is_on_screen(self, instants: Sequence[int]) -> Iterator[OnScreen]:
        """The pictures on screen at some of the order's instants, keyframes or not, with the instants' numbers."""
        order = replace(self._order, keyframes_only=False)
        return StreamReader(self._path, order, grid=ListedInstants(order, instants)).on_screen()

    def _pictures_of_film(self) -> Iterator[DecodedPicture]:
        """The decoded pictures at the times at which the film shows them."""
        if not self._order.info.edits:
            return self.pictures()
        return edited_pictures(self._order, self.grid, self._pictures_of_stream)

    def _pictures_of_stream(self, order: DecodeOrder, grid: Grid) -> Iterator[DecodedPicture]:
        return StreamReader(self._path, order, on_gpu=self._on_gpu, grid=grid, stats=self.stats).pictures()

    def pictures(self) -> Iterator[DecodedPicture]:
        """Decode from a keyframe at or before the first ordered instant, or from the file's start if none is found."""
        info = self._order.info
        target_pts = self.grid.pts_of(self.grid.start)
        can_seek = (target_pts > info.first_pts or bool(info.edits)) and info.seekable
        for retreat_s in SEEK_RETREATS_S if can_seek else ():
            with self._open() as container:
                pictures = self._pictures_after_seek(container, target_pts - self.grid.ticks(Fraction(retreat_s)))
                first = next(pictures, None)
                if first is not None and first.pts <= target_pts:
                    yield first
                    yield from pictures
                    return
        with self._open() as container:
            yield from self._joined(container) if info.is_joined else self._pictures(container)

    def _open(self) -> InputContainer:
        info = self._order.info
        return open_video(self._path, part=info.parts[0] if info.parts else None, obeys_edits=not info.edits)

    def _joined(self, container: InputContainer) -> Iterator[DecodedPicture]:
        """Decode every picture of a film that is put together, or its keyframes."""
        order = self._order

        def prepare(stream: VideoStream) -> None:
            prepare_decoder(stream, order, order.threads)
            if order.keyframes_only:
                stream.codec_context.skip_frame = "NONKEY"

        for stream, run in FilmPackets(container, self._path, order.info.parts, prepare).runs():
            packets = inspected(run, stream, order.info.timing)
            yield from self._asked_for(decode_all(stream, packets, order))
            stream.codec_context.flush_buffers()

    def _asked_for(self, pictures: Iterable[TimedFrame | LostPicture]) -> Iterator[TimedFrame | LostPicture]:
        """Without the pictures that an order for keyframes does not ask for: not every decoder skips them all."""
        return (
            picture
            for picture in pictures
            if isinstance(picture, LostPicture) or picture.frame.key_frame or not self._order.keyframes_only
        )

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
            is_key = isinstance(picture, TimedFrame) and (picture.frame.key_frame or self._order.keyframes_only)
            if key_pts is None and is_key:
                key_pts = picture.pts
            if key_pts is not None and picture.pts >= key_pts:
                yield picture

    def _pictures(self, container: InputContainer) -> Iterator[DecodedPicture]:
        """Decode from the container's position: every picture, or at least the needed ones."""
        order = self._order
        stream = prepared_stream(container, order, order.threads)
        context = stream.codec_context
        parts = order.info.parts
        all_packets = Packets(container, stream, part=parts[0] if parts else None)
        packets = inspected(all_packets, stream, order.info.timing, self._those_present)
        if order.info.timing != "pts":
            yield from self._asked_for(decode_all(stream, packets, order))
            return
        new_parser = partial(parser_for, context.codec.canonical_name, context.extradata or b"", self._first_packet)
        if order.keyframes_only and order.info.codec in LAYERED_CODECS:
            yield from decode_all(stream, keyframe_packets(packets, new_parser()), order)
        elif order.keyframes_only:
            context.skip_frame = "NONKEY"
            show_first(context, self._first_packet)
            yield from self._asked_for(decode_all(stream, packets, order))
        else:
            beginning = Beginning(self._first_packet, new_parser().remembers)
            segments = needed_segments(self._count_read(packets), self.grid, new_parser)
            parallel = parallel_decoders(order.threads, context.height, context.width)
            pool = DecoderPool(self._path, order, parallel, beginning, on_gpu=self._on_gpu)
            yield from pool.decode(self._count_decoded(segments))

    def _those_present(self, packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        """Those before the first one that was not fetched, which no ordered picture needs."""
        return self._present.until_hole(packets, self._whole_grid.is_after_end)

    def _count_read(self, packets: Iterable[InspectedPacket]) -> Iterator[InspectedPacket]:
        for packet in packets:
            self.stats.packets_read += 1
            yield packet

    def _count_decoded(self, segments: Iterable[GopSegment]) -> Iterator[GopSegment]:
        for segment in segments:
            self.stats.packets_decoded += len(segment.units)
            self.stats.closed_gops += segment.is_closed_gop
            yield segment


def keyframe_packets(packets: Iterable[InspectedPacket], parser: BitstreamParser) -> Iterator[InspectedPacket]:
    """The packets that begin with a keyframe; of AV1 those that the container takes for one, where not parsed."""
    for one in packets:
        info = parser.parse(one.content)
        is_unparsed = isinstance(parser, Av1) and not info.frames
        if info.is_closed_rap or (one.packet.is_keyframe and (is_unparsed or one.is_damaged)):
            yield one


def decode_all(
    stream: VideoStream, packets: Iterable[InspectedPacket], order: DecodeOrder
) -> Iterator[TimedFrame | LostPicture]:
    """Decode every packet with one decoder, or those that it does not skip."""
    timing = order.info.timing
    account = PictureAccount[TimedFrame](is_sorted=timing == "pts", delay=order.threads)

    def note(one: InspectedPacket) -> Packet[VideoStream]:
        packet = one.packet
        info = ReferenceInfo(is_output=False if packet.is_discard else None)
        unit = AccessUnit(packet, one.pts, info, BitstreamParser(), one.is_damaged, one.follows_loss)
        account.add_packet(unit, unit.pts)
        return packet

    for timed in decode_frames(stream, timing, map(note, packets), account.add_error, order.info):
        time = timed.frame.opaque if timing == "dts" else timed.frame.pts
        yield from account.add_picture(time, facts_of(timed), timed)
    yield from account.drain()


def main(video: str, message: str, *, on_gpu: bool) -> None:
    """Write the pictures that a DecodeOrder asks for, and what was done for them, to stdout."""
    order = DecodeOrder.from_json(message)
    try:
        reader = StreamReader(video, order, on_gpu=on_gpu)
        _write_pictures(reader, PictureConverter.for_order(order))
    except MissingBytes:
        _write(PictureHeader(order.stop, 0, 0.0, UnseenReason.MISSING).to_bytes())
    else:
        _write(PictureHeader(order.stop, 0, 0.0, None).to_bytes() + reader.stats.to_bytes())


def _write_pictures(reader: StreamReader, converter: PictureConverter) -> None:
    for shown in reader.on_screen():
        picture = shown.picture
        if isinstance(picture, ConvertedPicture):
            pixels, has_bars = picture.pixels, picture.has_bars
        else:
            pixels, has_bars = (
                converter.convert(picture.frame, picture.orientation, picture.pixel_aspect),
                converter.has_bars,
            )
        reader.stats.with_bars += has_bars
        time_s = reader.grid.seconds(picture.pts)
        _write(PictureHeader(shown.first, shown.stop - shown.first, time_s, shown.unseen).to_bytes())
        _write(pixels.data.cast("B"))


def _write(part: bytes | memoryview) -> None:
    while part:
        part = part[os.write(1, part) :]
