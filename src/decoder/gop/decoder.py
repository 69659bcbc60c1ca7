"""One libav decoder: it is set up, shown how its stream begins, and decodes segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from decoder.container.colours import DeclaredColours
from decoder.container.film import film_stream
from decoder.container.frames import TimedFrame, decode_packet
from decoder.container.open import open_video
from decoder.container.orientation import Turns
from decoder.container.packets import Packets
from decoder.container.pixel_aspect import PixelAspects
from decoder.container.present import Present
from decoder.convert.rgb import PictureConverter
from decoder.gop.account import LostPicture, PictureAccount, facts_of
from decoder.gop.select import GopSegment
from protocol import DecodeOrder

GPU_PIXEL_FORMAT = "cuda"
REORDERED_AS_ALLOWED = {"strict": "strict"}
"""Makes libav hold back as many pictures as the level of an H.264 stream allows, where the stream does not tell how
many are reordered. Otherwise libav finds out as it decodes, and pictures are out of order or lost until then."""
SHOWN_BEFORE = "shown before"
"""The opaque value of a packet that is decoded again, for what a decoder remembers of it alone."""
MARKED_CODECS = frozenset(["h264", "mpeg4", "mjpeg"])


@dataclass(frozen=True, slots=True)
class ConvertedPicture:
    """A picture in its final size. pixels is uint8 (height_px, width_px, 3) RGB; pts and duration are in ticks."""

    pts: int
    duration: int
    is_damaged: bool
    pixels: npt.NDArray[np.uint8]
    has_bars: bool
    """It has another shape than the first picture of the video, and bars beside it."""

    def damaged(self) -> ConvertedPicture:
        """The same picture, marked as damaged."""
        return replace(self, is_damaged=True)


Picture = TypeVar("Picture", TimedFrame, ConvertedPicture)


class GpuUnused(RuntimeError):
    """libav decodes on the CPU what the GPU was ordered to decode."""


def prepared_stream(
    container: InputContainer, order: DecodeOrder, threads: int, thread_type: Literal["AUTO", "SLICE"] = "AUTO"
) -> VideoStream:
    """The ordered stream of a container, with its decoder set up for a number of threads."""
    stream = film_stream(container, order.info.stream_index)
    prepare_decoder(stream, order, threads, thread_type)
    return stream


def prepare_decoder(
    stream: VideoStream, order: DecodeOrder, threads: int, thread_type: Literal["AUTO", "SLICE"] = "AUTO"
) -> None:
    """Set up the decoder of a stream."""
    stream.codec_context.thread_count = threads
    stream.thread_type = thread_type
    if order.info.codec == "h264":
        stream.codec_context.options |= REORDERED_AS_ALLOWED
    if order.skip_loop_filter:
        stream.codec_context.options |= {"skip_loop_filter": "all"}


def first_packet(path: str, order: DecodeOrder) -> bytes | None:
    """The first packet of the ordered stream, if what is decoded later may depend on it.

    An encoder may leave its mark, by which libav knows its faults, or tables for all pictures in the first one alone.

    Raises:
        MissingBytes: it was not fetched.
    """
    if order.info.codec not in MARKED_CODECS:
        return None
    info = order.info
    with open_video(path, part=info.parts[0] if info.parts else None, obeys_edits=not info.edits) as container:
        packets = Packets(container, prepared_stream(container, order, 1))
        packet = next(Present(info.present).checked(packets), None)
        return None if packet is None else bytes(packet)


def show_first(decoder: VideoCodecContext, first: bytes | None) -> None:
    """Let a decoder see the first packet of its stream; it then knows what one knows that began there."""
    if first is not None:
        for _ in chain(decode_packet(decoder, _shown_before(first)), decode_packet(decoder, None)):
            pass
        decoder.flush_buffers()


def _shown_before(content: bytes) -> Packet[VideoStream]:
    """A packet whose picture is left out."""
    packet = cast("Packet[VideoStream]", Packet(content))
    packet.opaque = SHOWN_BEFORE
    return packet


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a decoder that does not begin with the stream has to know of its beginning."""

    packet: bytes | None = None
    """The first one; None if no later picture depends on it."""
    is_forgotten: bool = False
    """libav forgets it when it is flushed, and its frame threads do not tell each other."""


class Decoder:
    """One libav decoder of the ordered stream, with a number of threads; DecoderPool has several."""

    def __init__(self, path: str, order: DecodeOrder, threads: int, beginning: Beginning, *, on_gpu: bool) -> None:
        # One CUDA context for all streams of a file: each would take hundreds of megabytes beside the engine.
        hwaccel = HWAccel("cuda", options={"primary_ctx": "1"}) if on_gpu else None
        thread_type: Literal["AUTO", "SLICE"] = "SLICE" if beginning.is_forgotten else "AUTO"
        with open_video(path, hwaccel) as container:  # not kept: the index of a film of ten hours is 14 MB
            stream = prepared_stream(container, order, threads, thread_type)
            self._decoder, self._aspects = stream.codec_context, PixelAspects(stream)
        self._decoder.copy_opaque = beginning.is_forgotten
        self._colours = DeclaredColours(self._decoder)
        show_first(self._decoder, beginning.packet)
        self._turns = Turns(order.info)
        self._beginning, self._is_flushed = beginning, True
        self._threads, self._on_gpu = threads, on_gpu
        self._account = self._new_account()
        self._converter = PictureConverter.for_order(order)

    def decode(self, segment: GopSegment) -> Iterator[TimedFrame | LostPicture]:
        """Decode the next segment; a decoder with several threads returns some of its pictures with later segments.

        Raises:
            GpuUnused: libav decodes on the CPU what the GPU should decode.
        """
        return self._decode(segment, self._account, lambda timed: timed)

    def drain(self) -> Iterator[TimedFrame | LostPicture]:
        """The pictures that the decoder still holds."""
        return self._drain(self._account, lambda timed: timed)

    def _completed(self, timed: TimedFrame) -> TimedFrame:
        """With what the picture itself does not say."""
        self._colours.complete(timed.frame)
        aspect = self._aspects.of(timed.frame)
        return replace(timed, orientation=self._turns.of(timed.frame), pixel_aspect=aspect)

    def decode_closed_gop(self, segment: GopSegment) -> list[ConvertedPicture | LostPicture]:
        """Decode a closed GOP and convert its wanted pictures, or all where the packets' times were not the pictures'.

        Raises:
            GpuUnused: see decode.
        """
        if not segment.units:
            return []
        wanted_pts = segment.wanted_pts

        def convert_wanted(timed: TimedFrame) -> ConvertedPicture | None:
            return self._convert(timed) if wanted_pts is None or timed.pts in wanted_pts else None

        found = list(self._decode(segment, self._new_account(), convert_wanted))
        if wanted_pts is None or wanted_pts <= {picture.pts for picture in found}:
            return found
        return list(self._decode(segment, self._new_account(), self._convert))

    def _new_account(self) -> PictureAccount[Any]:
        return PictureAccount(is_sorted=True, delay=self._threads)

    def _decode(
        self, segment: GopSegment, account: PictureAccount[Picture], make: Callable[[TimedFrame], Picture | None]
    ) -> Iterator[Picture | LostPicture]:
        first = self._beginning.packet
        is_forgotten = self._beginning.is_forgotten and (self._is_flushed or segment.starts_gop)
        if first is not None and is_forgotten:
            yield from self._decode_packet(_shown_before(first), account, make)
        self._is_flushed = segment.ends_gop
        for unit in segment.units:
            account.add_packet(unit, unit.pts)
            yield from self._decode_packet(unit.packet, account, make)
        if segment.ends_gop:
            yield from self._drain(account, make)
            self._decoder.flush_buffers()

    def _drain(
        self, account: PictureAccount[Picture], make: Callable[[TimedFrame], Picture | None]
    ) -> Iterator[Picture | LostPicture]:
        yield from self._decode_packet(None, account, make)
        yield from account.drain()

    def _decode_packet(
        self,
        packet: Packet[VideoStream] | None,
        account: PictureAccount[Picture],
        make: Callable[[TimedFrame], Picture | None],
    ) -> Iterator[Picture | LostPicture]:
        for timed in decode_packet(self._decoder, packet, account.add_error):
            if self._on_gpu and self._decoder.pix_fmt != GPU_PIXEL_FORMAT:
                raise GpuUnused
            if timed.frame.opaque == SHOWN_BEFORE:
                continue
            yield from account.add_picture(timed.pts, facts_of(timed), make(self._completed(timed)))

    def _convert(self, timed: TimedFrame) -> ConvertedPicture:
        pixels = self._converter.convert(timed.frame, timed.orientation, timed.pixel_aspect)
        return ConvertedPicture(timed.pts, timed.duration, timed.is_damaged, pixels, self._converter.has_bars)
