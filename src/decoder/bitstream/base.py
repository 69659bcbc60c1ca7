"""The interface of a bitstream parser: what the headers of a packet say about decoding dependencies.

A parser decodes nothing. Where it does not understand a header it says what costs most and risks nothing: that the
picture is shown, is decoded from all pictures before it, and is needed by all pictures after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ALL_SLOTS = 0b1111_1111
"""A bit for each slot of the decoded picture buffer. AV1 has 8 slots, and its parser tells them apart; the parsers of
other codecs treat the buffer as a whole."""


@dataclass(frozen=True, slots=True)
class ReferenceInfo:
    """What a packet needs from the decoded picture buffer and what it leaves there."""

    is_output: bool | None = True
    """The packet gives a picture to show; None if that is uncertain."""
    ref_slots: int = ALL_SLOTS
    """The slots that it is decoded from."""
    refresh_slots: int = ALL_SLOTS
    """The slots that it overwrites; 0 for a non-reference picture, from which no other is decoded."""
    is_closed_rap: bool = False
    """Closed random access point: neither this picture nor a later one in decoding order references an earlier one."""
    is_open_rap: bool = False
    """Open random access point: the pictures shown after this one reference nothing before it. Its leading pictures,
    which are decoded after it and shown before it, may do so, and no picture but they references them."""
    exact_after: int | None = None
    """After so many reference pictures, all are exact that follow, whatever the pictures before this one were."""
    is_certain: bool = field(default=False, compare=False)
    """The headers were understood: with is_output the packet gives one picture, and without it none."""
    frames: tuple[ReferenceInfo, ...] = ()
    """For a packet of several frames that can be dropped one by one: theirs, in decoding order."""
    is_second_field: bool = False
    """It completes the picture of the packet before it, whose time is the picture's."""
    may_hide: bool = False
    """Pictures near it that are decoded may never be shown."""
    has_header: bool = False
    """What remains without its frames is needed by the pictures after it."""


class BitstreamParser:
    """Parses the headers of one stream; this class is for codecs of which no headers are understood.

    Args:
        extradata: the stream's configuration, as its container gives it; most codecs do not need it.
    """

    def __init__(self, extradata: bytes = b"") -> None:
        pass

    @property
    def remembers(self) -> bool:
        """Whether libav shows a picture in a way that depends on pictures before it that it is not decoded from."""
        return False

    @property
    def may_have_fields(self) -> bool:
        """Whether a packet may hold one field of a picture."""
        return False

    def parse(self, _packet: bytes, /) -> ReferenceInfo:
        """Parse the headers of the next packet in decoding order."""
        return ReferenceInfo()

    def drop_frames(self, packet: bytes, _frames: set[int], /) -> bytes:
        """Return a packet of the same length without some of its `ReferenceInfo.frames`, given by their indices."""
        return packet


class IntraOnly(BitstreamParser):
    """Motion JPEG and ProRes: every picture stands alone."""

    def parse(self, _packet: bytes, /) -> ReferenceInfo:
        """The same for every packet."""
        return ReferenceInfo(ref_slots=0, refresh_slots=0, is_closed_rap=True)
