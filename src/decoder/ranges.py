"""Program: says on stdout which bytes of a file decoder.decode reads for an order; started by sandbox.confine.

The message is a protocol.DecodeOrder, the reply a protocol.RangesReply. Only the index of the file is believed, which
says where each packet stands: the file may have been fetched in parts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain

import av
from av.packet import Packet
from av.video.stream import VideoStream

from byte_ranges import ByteRange, merged
from decoder.container.film import film_stream
from decoder.container.open import open_video
from decoder.container.packets import Packets
from decoder.container.present import PACKETS_AFTER_END
from decoder.grid import Grid
from protocol import MAX_RANGES, SEEK_RETREATS_S, DecodeOrder, RangesReply

DISORDERED_CODECS = frozenset(["h264", "hevc"])
"""Where libav decodes keyframes alone, it may return those of open GOPs of these codecs in disorder. Then what it gives
for a window depends on how far it reads."""
NEAR_BYTES = 2**18
"""What lies between two parts is wanted with them if it is no more than this: a request costs as much time."""
MAX_WANTED = MAX_RANGES // 2
"""The other half is for what was fetched before."""


def needed_ranges(path: str, order: DecodeOrder) -> Sequence[ByteRange]:
    """The bytes that decoding reads between the file's index and its end; none where that may be all of them."""
    info = order.info
    is_in_doubt = order.keyframes_only and info.codec in DISORDERED_CODECS
    if info.edits or info.parts or not info.seekable or is_in_doubt:
        return ()
    grid = Grid(order)
    target_pts = grid.pts_of(grid.start)
    for retreat_s in SEEK_RETREATS_S if target_pts > info.first_pts else ():
        with open_video(path) as container:
            stream = film_stream(container, info.stream_index)
            try:
                container.seek(target_pts - grid.ticks(Fraction(retreat_s)), stream=stream)
            except av.error.FFmpegError:
                continue
            packets = iter(Packets(container, stream))
            first = next(packets, None)
            if first is not None and first.pts is not None and first.pts <= target_pts:
                return _few(_places(chain([first], packets), grid))
    with open_video(path) as container:
        return _few(_places(Packets(container, film_stream(container, info.stream_index)), grid))


def _places(packets: Iterable[Packet[VideoStream]], grid: Grid) -> list[ByteRange]:
    """Where packets stand, as far as Present.until_hole wants them to be there."""
    places: list[ByteRange] = []
    after_end = 0
    for packet in packets:
        if packet.pos is None:
            return []
        places.append(ByteRange(packet.pos, packet.pos + packet.size))
        after_end = after_end + 1 if packet.pts is not None and grid.is_after_end(packet.pts) else 0
        if after_end == PACKETS_AFTER_END:
            break
    return places


def _few(places: Sequence[ByteRange]) -> list[ByteRange]:
    """The same bytes and some between them, in at most MAX_WANTED ranges."""
    gap_bytes = NEAR_BYTES
    while len(ranges := merged(places, gap_bytes)) > MAX_WANTED:
        gap_bytes *= 2
    return ranges


def main(video: str, message: str, *, on_gpu: bool) -> None:  # noqa: ARG001  # the GPU is of no use here
    """Print the ranges for an order."""
    sys.stdout.write(RangesReply(tuple(needed_ranges(video, DecodeOrder.from_json(message)))).to_json())
