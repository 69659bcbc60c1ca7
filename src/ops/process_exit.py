"""Ends this process at once, with what it started."""

import multiprocessing
import os
import sys
from typing import NoReturn


def exit_at_once(status: int) -> NoReturn:
    """End the process without waiting for its threads, such as one that still loads a model.

    The children that Python's multiprocessing started would outlive os._exit, so they are killed: vLLM's engine, and
    the SDK's process that pings the platform, which would go on reporting a worker that is no more.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(status)
