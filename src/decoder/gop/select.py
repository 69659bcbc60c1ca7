"""Which packets of a group the wanted pictures are decoded from; child processes only.

Left out is what no wanted picture is decoded from, directly or through others. The pictures that stay are decoded to
the same pixels. In doubt a picture is wanted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from av.packet import Packet
from av.video.stream import VideoStream

from decoder.bitstream.av1 import Av1
from decoder.bitstream.base import ALL_SLOTS, IntraOnly, Mpeg2, Mpeg4, References, Traits, Vp8, Vp9
from decoder.bitstream.h26x import H264, Hevc


@dataclass(frozen=True, slots=True)
class Instants:
    """The sampling instants: those with the indices from `start` to before `stop`."""

    first_from: Callable[[int], int]
    """The index of the first instant at or after a time in ticks."""
    start: int
    stop: int

    def lie_between(self, pts: int, until_pts: int) -> bool:
        """Whether a picture is on screen at one of them that is shown from a time to before another."""
        return max(self.first_from(pts), self.start) < min(self.first_from(until_pts), self.stop)


@dataclass(frozen=True, slots=True)
class Piece:
    """Needed packets in decoding order: a group of pictures, or a part of one too long to be held."""

    packets: list[Packet[VideoStream]]
    wanted_pts: frozenset[int] | None
    """The times of the wanted pictures; None if that cannot be told."""
    starts_afresh: bool
    """Nothing in it is decoded from anything before it."""
    ends_group: bool
    """Nothing behind it is decoded from anything in it."""

    @property
    def is_whole(self) -> bool:
        """It is a whole group: decoded by itself."""
        return self.starts_afresh and self.ends_group

    @property
    def pictures_expected(self) -> int:
        """How many pictures it will give, if its packets tell their times truly."""
        return len(self.packets if self.wanted_pts is None else self.wanted_pts)


@dataclass(frozen=True, slots=True)
class Coded:
    """A packet and what its headers say."""

    packet: Packet[VideoStream]
    pts: int | None
    """When its picture is shown."""
    traits: Traits
    references: References

    @property
    def shown_pts(self) -> int | None:
        """The same, if it surely shows one."""
        return self.pts if self.traits.is_shown else None

    def precedes(self, other: Coded) -> bool:
        """Whether it is surely shown before another picture."""
        return self.pts is not None and other.pts is not None and self.pts < other.pts

    @property
    def frames(self) -> tuple[Traits, ...]:
        """What can be left out one by one: the packet, or pictures within it."""
        return self.traits.frames or (self.traits,)

    def without(self, frames: set[int]) -> Packet[VideoStream]:
        """The packet, changed itself, without some of these."""
        if frames:
            self.packet.update(self.references.without(bytes(self.packet), frames))
        return self.packet


class Screen:
    """When each of some pictures is on screen: from its time to the next one's."""

    def __init__(self, coded: Sequence[Coded], instants: Instants) -> None:
        self._instants = instants
        self._times = sorted({one.shown_pts for one in coded if one.shown_pts is not None})
        self.behind_pts = next((pts for pts in self._times if instants.first_from(pts) >= instants.stop), None)
        """The time of the first picture behind the last instant."""

    def wants(self, coded: Coded) -> bool:
        """Whether a picture of these is on screen at an instant, or may be, or is the first behind the last one."""
        if coded.traits.is_shown is False:
            return False
        if coded.shown_pts is None:
            return True
        after = bisect_right(self._times, coded.shown_pts)
        if after == len(self._times) or coded.shown_pts == self.behind_pts:
            return True
        return self._instants.lie_between(coded.shown_pts, self._times[after])


def needed_piece(
    group: list[Coded], following: list[Coded], instants: Instants, *, starts_afresh: bool, ends_group: bool
) -> tuple[Piece, bool]:
    """The needed packets of a group, or of a part of one, and whether it is the last with any.

    Args:
        group: in decoding order.
        following: packets behind it; their times say until when the group's pictures stay on screen.
        instants: see Instants.
        starts_afresh: see Piece.
        ends_group: see Piece.
    """
    screen = Screen([*group, *following], instants)
    wanted = [screen.wants(coded) for coded in group]
    needed: list[Packet[VideoStream]] = []
    read_later = 0 if ends_group else ALL_SLOTS
    for coded, picture_wanted in zip(reversed(group), reversed(wanted), strict=True):
        left_out: set[int] = set()
        for number, frame in reversed(list(enumerate(coded.frames))):
            if (picture_wanted and frame.is_shown is not False) or frame.writes & read_later:
                read_later = read_later & ~frame.writes | frame.reads
            else:
                left_out.add(number)
        if len(left_out) < len(coded.frames):
            needed.append(coded.without(left_out))
    wanted_pts = [coded.pts for coded, picture_wanted in zip(group, wanted, strict=True) if picture_wanted]
    known_pts = frozenset(pts for pts in wanted_pts if pts is not None)
    told = known_pts if len(known_pts) == len(wanted_pts) else None
    return Piece(needed[::-1], told, starts_afresh, ends_group), screen.behind_pts in known_pts


def references_of(codec: str, extradata: bytes) -> References:
    """The rule for a codec by its name in libav, and the configuration of its stream."""
    rules: dict[str, type[References]] = {
        "h264": H264, "hevc": Hevc, "mjpeg": IntraOnly, "prores": IntraOnly, "mpeg1video": Mpeg2, "mpeg2video": Mpeg2,
        "mpeg4": Mpeg4, "vp8": Vp8, "vp9": Vp9, "av1": Av1,
    }  # fmt: skip
    return rules.get(codec, References)(extradata)
