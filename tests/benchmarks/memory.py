"""Measures the memory of this process and its children together."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SAMPLE_PERIOD_S = 0.05


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Sample the proportional set size of the process tree; the list's only item is the peak in bytes."""
    peak, stop = [0], threading.Event()

    def watch() -> None:
        this = psutil.Process()
        while not stop.wait(SAMPLE_PERIOD_S):
            total = 0
            for process in (this, *this.children(recursive=True)):
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue  # it ended just now
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()
