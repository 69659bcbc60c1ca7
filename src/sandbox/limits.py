"""What a media process may do, and that it dies with the worker: by programs of util-linux, where they work.

What opens a video besides gives up sockets, see sandbox.confine.
"""

import logging
import os
import subprocess
from functools import cache

from sandbox import confine

log = logging.getLogger(__name__)

MAX_ADDRESS_SPACE_BYTES = 8 * 2**30
"""An 8K HEVC stream needs half a gigabyte with four threads; a hostile header asks for terabytes."""
MAX_OPEN_FILES = 256
LIMITS = ("prlimit", f"--as={MAX_ADDRESS_SPACE_BYTES}", f"--nofile={MAX_OPEN_FILES}", "--core=0", "--")
LIMITS_ON_GPU = ("prlimit", f"--data={MAX_ADDRESS_SPACE_BYTES}", *LIMITS[2:])
"""CUDA reserves address space for all memory of the machine; here private memory that can be written counts alone."""
DIES_WITH_WORKER = ("setpriv", "--pdeathsig=KILL", "--no-new-privs")
NO_CAPABILITIES = ("--inh-caps=-all", "--bounding-set=-all")
"""Root alone can give these up, and root alone has them."""
PROBE_TIMEOUT_S = 10


@cache
def prefix(*, on_gpu: bool = False) -> tuple[str, ...]:
    """The argv before a media process's own; what this machine does not allow is left out, and logged once."""
    layers = {
        "resource limits": LIMITS_ON_GPU if on_gpu else LIMITS,
        "death with the worker, no new privileges": (*DIES_WITH_WORKER, "--"),
    }
    if os.geteuid() == 0:
        layers["no capabilities"] = ("setpriv", *NO_CAPABILITIES, "--")
    active = {name: argv for name, argv in layers.items() if _works(argv)}
    names = [*active, *confine.layers()]
    missing = [name for name in layers if name not in active]
    log.info("media processes run with: %s", "; ".join(names) or "no sandbox")
    if missing:
        log.warning("media processes run without: %s", "; ".join(missing))
    return tuple(word for argv in active.values() for word in argv)


def _works(argv: tuple[str, ...]) -> bool:
    try:
        probe = subprocess.run([*argv, "true"], capture_output=True, timeout=PROBE_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0
