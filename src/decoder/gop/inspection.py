"""Looks at each packet before it is decoded: whether it is whole, and whether those before it are there."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from av.packet import Packet
from av.video.stream import VideoStream

from decoder.bitstream.integrity import integrity_check
from decoder.container.packets import Packets


@dataclass(slots=True)
class InspectedPacket:
    """A packet and what can be told from its outside."""

    packet: Packet[VideoStream]
    content: bytes
    is_damaged: bool
    """It is not what the encoder wrote, or may not be."""
    follows_loss: bool
    """Packets are missing before it."""


def inspected(packets: Packets, stream: VideoStream) -> Iterator[InspectedPacket]:
    """Inspect a stream's packets.

    Damage does not begin with a packet. So the packet before a damaged one counts as damaged too. Of those before a
    loss as many do as a decoder may show after one that it had before: which of them was on screen last is not known.
    """
    context = stream.codec_context
    is_whole = integrity_check(context.codec.canonical_name, context.extradata or b"")
    before: deque[InspectedPacket] = deque()
    reordered = max(0, context.reorder_depth)
    for packet in packets:
        content = bytes(packet)
        follows_loss = packets.follows_loss(packet)
        one = InspectedPacket(packet, content, packet.is_corrupt or not is_whole(content), follows_loss)
        for other in before if follows_loss else ():
            other.is_damaged = True
        if one.is_damaged and before:
            before[-1].is_damaged = True
        before.append(one)
        if len(before) > 1 + reordered:
            yield before.popleft()
    yield from before
