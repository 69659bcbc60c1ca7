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
        self._intervals: deque[int] = deque(maxlen=USUAL_INTERVALS + 1)
        self._has_time = False

    def add(self, packet: Packet[Any]) -> None:
        """Note the next packet."""
        time = packet.pts if packet.dts is None else packet.dts
        self._has_time = time is not None
        if time is None:
            return
        if self._last_dts is not None:
            self._intervals.append(time - self._last_dts)
        self._last_dts = time

    @property
    def is_before_last(self) -> bool:
        """Whether a pause lies before the last packet."""
        *usual, interval = self._intervals or (0,)
        if not self._has_time or not usual or interval <= LONG_INTERVAL * min(usual):  # mostly so, and quickly told
            return False
        return interval > LONG_INTERVAL * median(usual)
