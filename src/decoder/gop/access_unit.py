"""A packet together with what its headers say."""

from __future__ import annotations

from dataclasses import dataclass, replace

from av.packet import Packet
from av.video.stream import VideoStream

from decoder.bitstream.base import BitstreamParser, ReferenceInfo


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """A packet of one picture, or of an AV1 temporal unit, which may hold several frames."""

    packet: Packet[VideoStream]
    pts: int | None
    """When its picture is shown, in ticks; None if unknown."""
    info: ReferenceInfo
    parser: BitstreamParser
    is_damaged: bool = False
    """It is not what the encoder wrote, as its structure or its container shows; or it may not be."""
    follows_loss: bool = False
    """Packets are missing before it."""
    is_hidden: bool = False
    """An edit list hides its picture."""

    @property
    def output_pts(self) -> int | None:
        """When its picture is shown, if it certainly shows one and the time is known."""
        return self.pts if self.info.is_output else None

    def is_shown_before(self, other: AccessUnit) -> bool:
        """Whether it is certainly shown before another access unit."""
        return self.pts is not None and other.pts is not None and self.pts < other.pts

    @property
    def frames(self) -> tuple[ReferenceInfo, ...]:
        """What can be dropped one by one: the frames in the packet, or the packet as a whole."""
        return self.info.frames or (self.info,)

    def without_frames(self, frames: set[int]) -> AccessUnit:
        """Take some of its frames out of the packet, which is changed in place; return what is left."""
        if not frames:
            return self
        self.packet.update(self.parser.drop_frames(bytes(self.packet), frames))
        if any(frame.is_output is not False for index, frame in enumerate(self.frames) if index not in frames):
            return self
        return replace(self, info=replace(self.info, is_output=False))

    def as_uncertain(self) -> AccessUnit:
        """The same packet, of which no picture is missed if none comes."""
        return replace(self, info=replace(self.info, is_certain=False))
