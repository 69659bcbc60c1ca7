"""Ends the engine's processes with the worker, however that ends: nobody else would give the GPU's memory back."""

import logging
import multiprocessing
import os
import subprocess
import sys

log = logging.getLogger(__name__)

Guard = subprocess.Popen[bytes]

# Process file descriptors name a process for good, where its number may be another's by the time it is used. Each
# becomes readable when its process ends. The program waits for the worker, and leaves early if all others have ended.
PROGRAM = """
import select, signal, sys
worker, *others = map(int, sys.argv[1:])
poll = select.poll()
for descriptor in (worker, *others):
    poll.register(descriptor, select.POLLIN)
running = set(others)
while running:
    ended = {descriptor for descriptor, _ in poll.poll()}
    if worker in ended:
        break
    for descriptor in ended:
        poll.unregister(descriptor)
    running -= ended
for descriptor in running:
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


def guard_children() -> Guard | None:
    """Have the children that multiprocessing has started killed when this process is gone, even by SIGKILL.

    Returns the guard, which ends with the last of the children; None where it could not be started. It is a process in
    a session of its own, which is not reached by what ends the worker.
    """
    pids = [child.pid for child in multiprocessing.active_children() if child.pid]
    descriptors: list[int] = []
    try:
        descriptors += [os.pidfd_open(pid) for pid in (os.getpid(), *pids)]
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PROGRAM, *map(str, descriptors)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={},
            pass_fds=descriptors,
            start_new_session=True,
        )
    except OSError as exc:  # some container runtimes forbid process file descriptors
        log.warning("if this worker is killed, its engine will outlive it: %s", exc)
        return None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
