"""Leaves out the packets that no wanted picture is decoded from; child processes only.

Left out are pictures that nobody wants and nobody refers to, and what comes behind the last wanted picture before the
decoder starts afresh. The pictures that stay are decoded to the same pixels. In doubt a picture is wanted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from av.packet import Packet
from av.video.stream import VideoStream

from media.nal import H264, Hevc
from media.references import IntraOnly, Mpeg2, Mpeg4, References, Vp8, Vp9
from media.source import packet_time

MAX_AHEAD_PACKETS = 300
MAX_AHEAD_BYTES = 32 * 2**20
"""How far to read ahead for the end of a group of pictures; longer groups are only thinned."""

Wants = Callable[[int, int | None], bool]
"""Whether a picture is wanted that is on screen from a time until another, in ticks; None if that is not known."""


@dataclass(frozen=True, slots=True)
class Coded:
    """A packet and what its headers say."""

    packet: Packet[VideoStream]
    is_shown: bool
    pts: int | None
    """When its picture is shown."""
    is_disposable: bool
    restarts: bool


def needed_packets(
    packets: Iterator[Packet[VideoStream]], wants: Wants, references: References
) -> Iterator[Packet[VideoStream]]:
    """Give a decoder the packets that the wanted pictures need, in order."""
    group: list[Coded] = []
    size_bytes = 0
    last_dts = None
    for packet in packets:
        if last_dts is not None and packet.dts is not None and packet.dts < last_dts:
            yield from (coded.packet for coded in group)  # the clock jumps: no time says any more what it is next to
            yield packet
            yield from packets
            return
        last_dts = packet.dts if packet.dts is not None else last_dts
        coded = _coded(packet, references)
        if coded.restarts and group:
            yield from _needed(group, [coded], wants, is_whole=True)
            group, size_bytes = [], 0
        elif len(group) >= MAX_AHEAD_PACKETS or size_bytes >= MAX_AHEAD_BYTES:
            half = len(group) // 2
            yield from _needed(group[:half], group[half:], wants, is_whole=False)
            group = group[half:]
            size_bytes = sum(coded.packet.size for coded in group)
        group.append(coded)
        size_bytes += packet.size
    yield from _needed(group, [], wants, is_whole=True)


def _coded(packet: Packet[VideoStream], references: References) -> Coded:
    content = bytes(packet)
    return Coded(
        packet,
        references.is_shown(content) and not packet.is_discard,
        packet_time(packet),
        references.is_disposable(content),
        references.restarts(content),
    )


def _needed(
    group: list[Coded], following: list[Coded], wants: Wants, *, is_whole: bool
) -> Iterator[Packet[VideoStream]]:
    """The needed packets of a group.

    Args:
        group: in decoding order.
        following: packets behind it; their times say until when the group's pictures stay on screen.
        wants: see Wants.
        is_whole: nothing behind the group is decoded from it.
    """
    times = sorted({coded.pts for coded in [*group, *following] if coded.is_shown and coded.pts is not None})

    def is_wanted(coded: Coded) -> bool:
        if not coded.is_shown or coded.pts is None:
            return coded.is_shown
        after = bisect_right(times, coded.pts)
        return wants(coded.pts, times[after] if after < len(times) else None)

    wanted = [is_wanted(coded) for coded in group]
    stop = len(group)
    if is_whole:
        while stop and not wanted[stop - 1]:
            stop -= 1
    for coded, picture_wanted in zip(group[:stop], wanted, strict=False):
        if picture_wanted or not (coded.is_disposable and coded.is_shown):
            yield coded.packet


def references_of(codec: str, extradata: bytes) -> References:
    """The rule for a codec by its name in libav, and the configuration of its stream."""
    if codec == "h264":
        return H264(extradata)
    if codec == "hevc":
        return Hevc(extradata)
    rules: dict[str, type[References]] = {
        "mjpeg": IntraOnly, "prores": IntraOnly, "mpeg1video": Mpeg2, "mpeg2video": Mpeg2, "mpeg4": Mpeg4, "vp8": Vp8,
        "vp9": Vp9,
    }  # fmt: skip
    return rules.get(codec, References)()
