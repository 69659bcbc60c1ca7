"""The pictures of a file decoded in two ways: from every packet, and from the needed packets as the worker does."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from clips import HEIGHT_PX, WIDTH_PX, number_in
from decoder.container.frames import decode_frames
from decoder.container.open import open_video
from decoder.container.packets import Packets
from decoder.convert.rgb import PictureConverter
from decoder.decode import StreamReader
from decoder.gop.decoder import ConvertedPicture, prepared_stream
from decoder.grid import Grid
from decoder.on_screen import OnScreen, on_screen_at_instants
from decoder.probe import probe
from protocol import DecodeOrder
from records import SampleGrid, VideoInfo


@dataclass(frozen=True, slots=True)
class Decoded:
    """The delivered pictures with their instants and times, what is said of them, and the number of packets."""

    shown: list[tuple[int, int, int]]
    """First instant, the one after the last, and presentation time of each picture."""
    pixels: list[np.ndarray]
    damaged: int
    unseen: list[bool]
    packets_read: int = 0
    packets_decoded: int = 0


def probed(path: Path) -> VideoInfo:
    """What a file holds; it must not be refused."""
    info = probe(str(path))
    assert isinstance(info, VideoInfo), info
    return info


def order_for(path: Path, fps: Fraction, start: int = 0) -> DecodeOrder:
    """An order for all pictures of a file from an instant on."""
    info = probed(path)
    stop = int(info.duration_s * fps) + 1
    return DecodeOrder(
        info, SampleGrid(info.start_s, fps, HEIGHT_PX, WIDTH_PX), min(start, stop - 1), stop,
        threads=2, skip_loop_filter=False, keyframes_only=False,
    )  # fmt: skip


def decode_all_packets(path: Path, order: DecodeOrder) -> Decoded:
    """Decode every packet of the file."""
    with open_video(str(path)) as container:
        stream = prepared_stream(container, order, order.threads)
        return _converted(
            on_screen_at_instants(decode_frames(stream, order.info.timing, Packets(container, stream)), Grid(order)),
            order,
        )


def decode_needed_packets(path: Path, order: DecodeOrder) -> Decoded:
    """Decode as the worker does."""
    reader = StreamReader(str(path), order)
    decoded = _converted(reader.on_screen(), order)
    return replace(decoded, packets_read=reader.stats.packets_read, packets_decoded=reader.stats.packets_decoded)


def shown_numbers(path: Path, first_index: int = 0) -> list[int]:
    """The number of the picture on screen at every instant, 25 a second, decoded as the worker does; none damaged."""
    decoded = decode_needed_packets(path, order_for(path, Fraction(25), first_index))
    assert not decoded.damaged
    return [
        number_in(pixels)
        for (first, stop, _), pixels in zip(decoded.shown, decoded.pixels, strict=True)
        for _ in range(first, stop)
    ]


def _converted(pictures: Iterator[OnScreen], order: DecodeOrder) -> Decoded:
    converter = PictureConverter.for_order(order)
    shown: list[tuple[int, int, int]] = []
    pixels: list[np.ndarray] = []
    unseen: list[bool] = []
    for one in pictures:
        picture = one.picture
        shown.append((one.first, one.stop, picture.pts))
        unseen.append(one.unseen is not None)
        if isinstance(picture, ConvertedPicture):
            pixels.append(picture.pixels)
        else:
            pixels.append(converter.convert(picture.frame, picture.orientation, picture.pixel_aspect))
    return Decoded(shown, pixels, sum(unseen), unseen)


def assert_same(one: Decoded, other: Decoded) -> None:
    assert one.shown == other.shown
    assert all(np.array_equal(*pair) for pair in zip(one.pixels, other.pixels, strict=True))
