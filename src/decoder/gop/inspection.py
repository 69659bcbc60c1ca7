"""Looks at each packet before it is decoded: whether it is whole, and whether those before it are there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from av.packet import Packet
from av.video.stream import VideoStream

from decoder.bitstream.h264 import ReferenceCount
from decoder.bitstream.integrity import Check, integrity_check
from decoder.container.formats import AVI
from decoder.container.packets import PACKETS_BEFORE_JOINT, Packets
from decoder.container.pauses import Pauses
from decoder.container.pts import packet_pts
from records import Timing

MAX_REORDERED = 20
"""How far a picture may be decoded before one that is shown next to it."""
PACKETS_FROM_PAUSE = 5
"""Among so many packets, a jump in the numbers of pictures and a pause belong together."""
PACKETS_BEFORE_DAMAGE = 2
"""So many packets before a damaged one count as damaged too."""
PACKETS_JUDGED_ANEW = PACKETS_BEFORE_DAMAGE + PACKETS_BEFORE_JOINT


@dataclass(slots=True)
class InspectedPacket:
    """A packet and what can be told from its outside."""

    packet: Packet[VideoStream]
    pts: int | None
    """When its picture is shown, as far as it tells."""
    content: bytes
    is_damaged: bool
    """It is not what the encoder wrote, or may not be."""
    follows_loss: bool
    """Packets are missing before it."""


def inspected(
    packets: Packets,
    stream: VideoStream,
    timing: Timing,
    those_present: Callable[[Iterable[Packet[VideoStream]]], Iterable[Packet[VideoStream]]] = iter,
) -> Iterator[InspectedPacket]:
    """Inspect a stream's packets.

    Damage does not begin with a packet, and a packet in it may look whole by chance. So the last packets before a
    damaged one count as damaged too. Before a loss all those do that may have been on screen last: the last ones in
    decoding order, as many as are reordered, and those that are shown before these. In a container that only counts
    pictures no time after a loss is known. Where files were joined nothing is missing, although the counters of
    transport packets do not match.

    Args:
        packets: of the stream.
        stream: see there.
        timing: of the stream.
        those_present: leaves out what was not fetched.
    """
    context = stream.codec_context
    numbers = _MissingNumbers(context.extradata or b"") if context.codec.canonical_name == "h264" else None
    is_whole = integrity_check(context.codec.canonical_name, context.extradata or b"")
    before: deque[InspectedPacket] = deque()
    reordered = max(0, context.reorder_depth)
    counts_pictures, is_out_of_step = stream.container.format.name == AVI, False
    for packet in those_present(packets):
        content = bytes(packet)
        is_at_joint = packets.is_at_joint(packet)
        follows_loss = packets.follows_loss(packet) and not is_at_joint
        if is_at_joint:
            _judge_by_content(before, is_whole)
        is_out_of_step |= counts_pictures and follows_loss
        is_damaged = is_out_of_step or packet.is_corrupt or not is_whole(content)
        one = InspectedPacket(packet, packet_pts(packet, timing), content, is_damaged, follows_loss)
        after = numbers.missing_before(one) if numbers else None
        if follows_loss:
            _mark_last_on_screen(before, 1 + reordered)
        elif after is not None and not is_at_joint:
            after.follows_loss = True
            _mark_last_on_screen(_those_before(after, before), 1 + reordered)
        for other in list(before)[-PACKETS_BEFORE_DAMAGE:] if one.is_damaged else ():
            other.is_damaged = True
        before.append(one)
        if len(before) > (MAX_REORDERED if reordered else PACKETS_JUDGED_ANEW):
            yield before.popleft()
    if packets.is_interrupted_at_end:
        _mark_last_on_screen(before, 1 + reordered)
    if packets.ends_at_joint:
        _judge_by_content(before, is_whole)
    yield from before


class _MissingNumbers:
    """Tells where reference pictures of H.264 are missing without a trace in the container.

    Their numbers jump there, and time passes as well: some encoders do not count as they should. Where libav makes up
    the times of decoding, the pause may lie some packets away.
    """

    def __init__(self, extradata: bytes) -> None:
        self._count, self._pauses = ReferenceCount(extradata), Pauses()
        self._since_jump = self._since_pause = PACKETS_FROM_PAUSE
        self._jumped: InspectedPacket | None = None

    def missing_before(self, one: InspectedPacket) -> InspectedPacket | None:
        """Take the next packet; return the one before which pictures are missing, if that is found out now."""
        self._pauses.add(one.packet)
        self._since_jump, self._since_pause = self._since_jump + 1, self._since_pause + 1
        if jumps := self._count.jumps_before(one.content):
            self._jumped, self._since_jump = one, 0
        if is_after_pause := self._pauses.is_before_last:
            self._since_pause = 0
        is_both = max(self._since_jump, self._since_pause) < PACKETS_FROM_PAUSE
        return self._jumped if (jumps or is_after_pause) and is_both else None


def _judge_by_content(before: Sequence[InspectedPacket], is_whole: Check) -> None:
    """Judge the packets before a joint anew: libav may have marked them for what comes after it."""
    for one in list(before)[-PACKETS_JUDGED_ANEW:]:
        one.is_damaged = not is_whole(one.content)


def _those_before(one: InspectedPacket, packets: Iterable[InspectedPacket]) -> list[InspectedPacket]:
    return list(takewhile(lambda other: other is not one, packets))


def _mark_last_on_screen(before: Sequence[InspectedPacket], count: int) -> None:
    """Mark the last `count` packets in decoding order, the one that is shown before each, and the one shown last."""
    shown = sorted((one for one in before if one.packet.pts is not None), key=lambda one: one.packet.pts or 0)
    last = list(before)[-count:]
    for one in (*last, *shown[-1:]):
        one.is_damaged = True
    for one, following in pairwise(shown):
        one.is_damaged |= any(following is other for other in last)
