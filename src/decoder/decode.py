"""Program: writes the pictures on screen at a grid of instants to stdout; started by sandbox.confine.

The message is a protocol.DecodeOrder. Pictures leave in presentation order, and decoding waits while nobody reads.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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
from decoder.container.frames import TimedFrame, decode_film, decode_frames
from decoder.container.open import open_video
from decoder.container.packets import Packets
from decoder.container.pts import has_dts_only, lacks_pts, packet_pts
from decoder.convert.rgb import PictureConverter
from decoder.edited import EndOfEdit, edited_pictures
from decoder.gop.access_unit import AccessUnit
from decoder.gop.account import LostPicture, PictureAccount, facts_of
from decoder.gop.decoder import Beginning, ConvertedPicture, first_packet, prepare_decoder, prepared_stream, show_first
from decoder.gop.inspection import InspectedPacket, inspected
from decoder.gop.pool import DecodedPicture, DecoderPool, parallel_decoders
from decoder.gop.select import GopSegment
from decoder.gop.split import needed_segments
from decoder.grid import Grid
from protocol import SEEK_RETREATS_S, DecodeOrder, DecodeStats, PictureHeader
from records import UnseenReason

LAYERED_CODECS = frozenset(["vp9", "av1"])
"""A keyframe may share its packet with the higher layers of its picture, which are decoded from it."""


@dataclass(frozen=True, slots=True)
class OnScreen:
    """A picture and the instants [first, stop) at which it is on screen."""

    picture: TimedFrame | ConvertedPicture
    first: int
    stop: int
    unseen: UnseenReason | None = None
    """Why this is not what should be on screen."""


class StreamReader:
    """Reads from a file the pictures that an order asks for.

    Args:
        path: local file.
        order: what to deliver.
        on_gpu: decode on the GPU, or fail.
        stats: of other orders for the file, to which this one is added.

    Attributes:
        grid: the instants of the order.
        stats: what was read and decoded so far.
    """

    def __init__(
        self, path: str, order: DecodeOrder, *, on_gpu: bool = False, stats: DecodeStats | None = None
    ) -> None:
        self._path, self._order, self._on_gpu = path, order, on_gpu
        self.grid = Grid(order)
        self.stats = stats or DecodeStats()
        self._first_packet = first_packet(path, order)

    def on_screen(self) -> Iterator[OnScreen]:
        """The ordered pictures with the instants that they serve, in presentation order."""
        choose = first_keyframes if self._order.keyframes_only else on_screen_at_instants
        if not self._order.info.edits:
            return choose(self.pictures(), self.grid)
        return choose(edited_pictures(self._order, self._pictures_of_stream), self.grid)

    def _pictures_of_stream(self, order: DecodeOrder) -> Iterator[DecodedPicture]:
        return StreamReader(self._path, order, on_gpu=self._on_gpu, stats=self.stats).pictures()

    def pictures(self) -> Iterator[DecodedPicture]:
        """Decode from a keyframe at or before the first ordered instant, or from the file's start if none is found."""
        info = self._order.info
        target_pts = self.grid.pts_of(self.grid.start)
        can_seek = (self.grid.start > 0 or bool(info.edits)) and info.seekable
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

        packets = FilmPackets(container, self._path, order.info.parts, prepare)
        yield from self._asked_for(decode_film(packets, order.info))

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
        packets = inspected(Packets(container, stream, part=parts[0] if parts else None), stream)
        if lacks_pts(stream):
            yield from self._asked_for(decode_all(container, stream, packets, order))
            return
        new_parser = partial(parser_for, context.codec.canonical_name, context.extradata or b"", self._first_packet)
        if order.keyframes_only and order.info.codec in LAYERED_CODECS:
            yield from decode_all(container, stream, keyframe_packets(packets, new_parser()), order)
        elif order.keyframes_only:
            context.skip_frame = "NONKEY"
            show_first(context, self._first_packet)
            yield from self._asked_for(decode_all(container, stream, packets, order))
        else:
            beginning = Beginning(self._first_packet, new_parser().remembers)
            segments = needed_segments(self._count_read(packets), self.grid, new_parser)
            parallel = parallel_decoders(order.threads, context.height, context.width)
            pool = DecoderPool(self._path, order, parallel, beginning, on_gpu=self._on_gpu)
            yield from pool.decode(self._count_decoded(segments))

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
    container: InputContainer, stream: VideoStream, packets: Iterable[InspectedPacket], order: DecodeOrder
) -> Iterator[TimedFrame | LostPicture]:
    """Decode every packet with one decoder, or those that it does not skip."""
    has_times = not lacks_pts(stream)
    account = PictureAccount[TimedFrame](is_sorted=has_times, delay=order.threads)

    def note(one: InspectedPacket) -> Packet[VideoStream]:
        packet = one.packet
        info = ReferenceInfo(is_output=False if packet.is_discard else None)
        unit = AccessUnit(packet, packet_pts(packet), info, BitstreamParser(), one.is_damaged, one.follows_loss)
        account.add_packet(unit, unit.pts)
        return packet

    for timed in decode_frames(container, stream, map(note, packets), account.add_error, order.info):
        time = timed.frame.opaque if has_dts_only(stream) else timed.frame.pts
        yield from account.add_picture(time, facts_of(timed), timed)
    yield from account.drain()


def on_screen_at_instants(pictures: Iterator[DecodedPicture], grid: Grid) -> Iterator[OnScreen]:
    """Pair pictures with the instants at which they are on screen.

    Of pictures at one time, which are layers of a scalable stream, the last one has the highest quality. A picture
    stays on screen until the next one's time, or until that of a lost one; after that it stays as far as can be told.
    The last one that is decoded stays for its own duration, but at least for the mean time between pictures: libav
    guesses the durations that a container does not have. The last one of the film stays until the end.
    """
    held: OnScreen | None = None
    shown_pts, next_index = 0, grid.start
    for picture in pictures:
        is_late = held is not None and picture.pts < shown_pts
        if is_late or (isinstance(picture, LostPicture) and (held is None or picture.pts == shown_pts)):
            continue
        end_index = min(grid.first_index_from(picture.pts), grid.stop)
        if held is not None and end_index > next_index:
            yield replace(held, first=next_index, stop=end_index)
        next_index = max(next_index, end_index)
        if isinstance(picture, EndOfEdit):
            held = None
        else:
            held = _missing(held) if isinstance(picture, LostPicture) else _shown(picture)
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
        _write(PictureHeader(shown.first, shown.stop - shown.first, time_s, shown.unseen).to_bytes())
        _write(pixels.data.cast("B"))
    _write(PictureHeader(order.stop, 0, 0.0, None).to_bytes() + reader.stats.to_bytes())


def _write(part: bytes | memoryview) -> None:
    while part:
        part = part[os.write(1, part) :]
