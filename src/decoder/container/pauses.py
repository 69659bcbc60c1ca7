"""Tells where more time passes between two packets than usual."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Any

from av.packet import Packet

LONG_INTERVAL = 1.5
"""A time between two packets that is longer than this many usual ones may have held others."""
USUAL_INTERVALS = 32
"""The usual time between packets is the median of this many."""


class Pauses:
    """Follows the packets of a stream in decoding order."""

    def __init__(self) -> None:
        self._last_dts: int | None = None
        self._intervals: deque[int] = deque(maxlen=USUAL_INTERVALS)

    def is_before(self, packet: Packet[Any]) -> bool:
        """Whether a pause lies before a packet; asked once for each."""
        time = packet.pts if packet.dts is None else packet.dts
        if time is None:
            return False
        interval = 0 if self._last_dts is None else time - self._last_dts
        is_long = len(self._intervals) > 0 and interval > LONG_INTERVAL * median(self._intervals)
        if self._last_dts is not None:
            self._intervals.append(interval)
        self._last_dts = time
        return is_long
