"""Follows a decoder picture by picture: which ones are as they were encoded, and which ones never came.

Most decoders go on after a damaged packet: they decode from pictures that are missing or wrong, and say nothing. So
every picture counts as damaged that was decoded from a damaged or lost one, directly or through others, until the next
random access point.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from av.video.frame import PictureType

from decoder.bitstream.base import ALL_SLOTS
from decoder.container.frames import TimedFrame
from decoder.gop.access_unit import AccessUnit

MAX_WAITING_PICTURES = 32
"""Twice the pictures that a decoder may keep for reordering."""


class Markable(Protocol):
    """A picture that can be marked as damaged."""

    @property
    def pts(self) -> int:
        """Its presentation time in ticks."""

    def damaged(self) -> Self:
        """The same picture, marked as damaged."""


Picture = TypeVar("Picture", bound=Markable)


@dataclass(frozen=True, slots=True)
class LostPicture:
    """In place of a picture that a packet should have given: from its time on another one stays on screen."""

    pts: int


@dataclass(frozen=True, slots=True)
class DecodedFacts:
    """What a decoder says about a picture."""

    pts: int
    is_corrupt: bool
    """The decoder made up a part of it."""
    is_rap: bool
    """A whole picture by itself, after which nothing shown later refers to what was before it."""


def facts_of(timed: TimedFrame) -> DecodedFacts:
    """What a decoder says about a picture."""
    frame = timed.frame
    is_rap = bool(frame.key_frame) and frame.pict_type == PictureType.I
    return DecodedFacts(timed.pts, frame.is_corrupt, is_rap)


@dataclass(slots=True, eq=False)
class _Packet:
    """A packet that was given to the decoder, and what came of it."""

    unit: AccessUnit
    number: int
    is_suspect: bool = False
    """The decoder failed at it, or at another one at about that time."""
    facts: DecodedFacts | None = None
    is_over: bool = False
    """If it has given no picture by now, it will give none."""
    is_bad: bool | None = None
    """The verdict; None while it is open."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will be learned about it."""
        return self.facts is not None or self.is_over or self.unit.info.is_output is False

    @property
    def is_lost(self) -> bool:
        """Whether it should have given a picture and has not."""
        unit = self.unit
        if self.facts is not None or unit.info.is_output is False:
            return False
        return unit.info.is_certain or unit.is_damaged or self.is_suspect

    @property
    def has_own_damage(self) -> bool:
        """Whether something is wrong with it, apart from what it was decoded from."""
        if self.facts is None:
            return self.unit.is_damaged or self.is_suspect or self.is_lost
        return self.unit.is_damaged or self.facts.is_corrupt


class PictureAccount(Generic[Picture]):
    """Passes on the pictures of one decoder, marked, with a LostPicture in place of each that did not come.

    A picture is passed on when it is known what has become of the packets that were decoded before it.

    Args:
        is_sorted: pictures come in the order of their packets' times. Otherwise a packet gives no picture any more
            when one comes whose packet was given MAX_WAITING_PICTURES later.
        delay: at how many packets before the last one an error of the decoder may have occurred; 1 is the last one.
    """

    def __init__(self, *, is_sorted: bool, delay: int = 1) -> None:
        self._is_sorted, self._delay = is_sorted, delay
        self._packets = 0
        self._by_key: dict[tuple[int, bool], _Packet] = {}
        """Those of which a picture may still come, by the time that it carries and True; the others by their number."""
        self._open: deque[_Packet] = deque()
        """Those without a verdict, in decoding order."""
        self._waiting: deque[tuple[_Packet | None, Picture | LostPicture | None]] = deque()
        self._tainted_slots = 0
        """The slots of the decoded picture buffer that hold a picture which is lost or damaged."""
        self._leading_slots = 0
        """The same for the leading pictures of the last random access point."""
        self._rap_pts: int | None = None
        self._exact_after: int | None = None
        """After so many reference pictures no slot is tainted any more; None if that cannot be told."""

    def add_packet(self, unit: AccessUnit, time: int | None) -> None:
        """Note the next packet in decoding order.

        Args:
            unit: its access unit.
            time: what its picture will carry; None if that is not known.
        """
        self._packets += 1
        packet = _Packet(unit, self._packets)
        self._open.append(packet)
        is_first = time is not None and unit.info.is_output is not False and (time, True) not in self._by_key
        self._by_key[(time, True) if time is not None and is_first else (self._packets, False)] = packet

    def add_error(self) -> None:
        """The decoder failed at the last packet, or at one of those before it that may still be in work."""
        for packet in list(self._by_key.values())[-self._delay :]:
            packet.is_suspect = True

    def add_picture(
        self, time: object, facts: DecodedFacts, picture: Picture | None
    ) -> Iterator[Picture | LostPicture]:
        """Note the next picture of the decoder; return those that can be passed on.

        Args:
            time: what the picture carries.
            facts: what the decoder says of it.
            picture: what is passed on; None if nobody wants it.
        """
        packet = self._by_key.pop((time, True), None) if isinstance(time, int) else None
        if packet is not None:
            packet.facts = facts
        elif facts.is_corrupt:
            self._tainted_slots = ALL_SLOTS
        elif facts.is_rap:
            self._tainted_slots = 0
        self._end_before(facts, packet)
        self._waiting.append((packet, picture))
        if len(self._waiting) > MAX_WAITING_PICTURES and self._open:
            self._open[0].is_over = True
        return self._pass_on()

    def drain(self) -> Iterator[Picture | LostPicture]:
        """No picture of the packets so far comes any more: pass on what is left."""
        self._end(list(self._by_key.items()))
        yield from self._pass_on()

    def _end_before(self, facts: DecodedFacts, packet: _Packet | None) -> None:
        """The packets whose pictures would have come before this one give none."""
        if self._is_sorted:
            ended = [item for item in self._by_key.items() if item[1].unit.pts is None or item[1].unit.pts < facts.pts]
        elif packet is not None:
            last = packet.number - MAX_WAITING_PICTURES
            ended = [item for item in self._by_key.items() if item[1].number <= last]
        else:
            ended = []
        self._end(ended)

    def _end(self, ended: list[tuple[tuple[int, bool], _Packet]]) -> None:
        lost: list[_Packet] = []
        for key, packet in ended:
            del self._by_key[key]
            packet.is_over = True
            if packet.is_lost and packet.unit.pts is not None:
                lost.append(packet)
        for packet in sorted(lost, key=lambda packet: packet.unit.pts or 0):
            self._waiting.append((packet, LostPicture(packet.unit.pts or 0)))

    def _pass_on(self) -> Iterator[Picture | LostPicture]:
        while self._open and self._open[0].is_settled:
            self._judge(self._open.popleft())
        while self._waiting:
            packet, picture = self._waiting[0]
            if packet is not None and packet.is_bad is None:
                return
            self._waiting.popleft()
            if picture is None or (packet is not None and packet.unit.is_hidden):
                continue
            if isinstance(picture, LostPicture):
                yield picture
                continue
            is_bad = self._tainted_slots > 0 if packet is None else packet.is_bad
            yield picture.damaged() if is_bad else picture

    def _judge(self, packet: _Packet) -> None:
        """Decide whether a packet's picture is as it was encoded; called in decoding order."""
        unit, info = packet.unit, packet.unit.info
        if unit.follows_loss:
            self._tainted_slots = self._leading_slots = ALL_SLOTS
        is_bad = packet.has_own_damage
        is_rap = self._is_recovered_with(packet) or info.is_closed_rap or info.is_open_rap
        if not info.is_certain and packet.facts is not None and unit.packet.is_keyframe:
            is_rap |= packet.facts.is_rap  # the decoder alone is not believed: a frame that is shown again says so, too
        if is_rap and not is_bad:
            self._leading_slots = 0 if info.is_closed_rap else self._tainted_slots
            self._tainted_slots, self._rap_pts, self._exact_after = 0, unit.pts, None
        elif self._rap_pts is not None and unit.pts is not None and unit.pts < self._rap_pts:
            is_bad |= bool(self._leading_slots & info.ref_slots)
            self._leading_slots = self._after(self._leading_slots, packet, is_bad=is_bad)
            packet.is_bad = is_bad
            return
        else:
            is_bad |= bool(self._tainted_slots & info.ref_slots)
        self._tainted_slots = self._after(self._tainted_slots, packet, is_bad=is_bad)
        packet.is_bad = is_bad

    def _is_recovered_with(self, packet: _Packet) -> bool:
        """Whether intra refresh has repaired what was lost; until then a decoder may show nothing."""
        unit, info, facts = packet.unit, packet.unit.info, packet.facts
        if unit.is_damaged or unit.follows_loss or packet.is_suspect or (facts and facts.is_corrupt):
            self._exact_after = None
        elif info.exact_after is not None:
            self._exact_after = info.exact_after or None  # with 0 it is a random access point, or none is relied on
        elif self._exact_after and info.refresh_slots:
            self._exact_after -= 1
        return self._exact_after == 0

    @staticmethod
    def _after(slots: int, packet: _Packet, *, is_bad: bool) -> int:
        """The tainted slots after a packet."""
        refreshed = ALL_SLOTS if packet.unit.is_damaged else packet.unit.info.refresh_slots
        return slots | refreshed if is_bad else slots & ~refreshed
