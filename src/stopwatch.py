"""Wall time, measured in one way everywhere."""

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)


class Stopwatch(Generic[Name]):
    """Measures from its making on, and named laps within that."""

    def __init__(self) -> None:
        self.laps_s: dict[Name, float] = {}
        """Seconds of each lap that is over, by name."""
        self._started_s = time.monotonic()

    @contextmanager
    def lap(self, name: Name) -> Iterator[None]:
        """Measure what is inside, and add it to the lap of that name; what ends in an exception does not count."""
        started_s = time.monotonic()
        yield
        self.laps_s[name] = self.laps_s.get(name, 0.0) + time.monotonic() - started_s

    @property
    def total_s(self) -> float:
        """Seconds since the stopwatch was made."""
        return time.monotonic() - self._started_s
