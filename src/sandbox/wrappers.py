"""The util-linux commands (prlimit, setpriv) that every sandboxed process is started through.

They limit what a process may use and make it die with the worker. A process that opens a video also confines itself,
see sandbox.confine.
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
RESOURCE_LIMITS = ("prlimit", f"--as={MAX_ADDRESS_SPACE_BYTES}", f"--nofile={MAX_OPEN_FILES}", "--core=0", "--")
RESOURCE_LIMITS_ON_GPU = ("prlimit", f"--data={MAX_ADDRESS_SPACE_BYTES}", *RESOURCE_LIMITS[2:])
"""CUDA reserves address space for all memory of the machine, so on a GPU only private writable memory is limited."""
DIE_WITH_WORKER = ("setpriv", "--pdeathsig=KILL", "--no-new-privs")
NO_CAPABILITIES = ("--inh-caps=-all", "--bounding-set=-all")
"""Only root has capabilities to drop, and only root may drop them."""
TRIAL_TIMEOUT_S = 10


@cache
def wrapper_argv(*, on_gpu: bool = False) -> tuple[str, ...]:
    """Return the words to put before a process's own argv.

    A wrapper that does not work on this machine is left out. The first call logs which ones are used and which are
    missing.
    """
    wrappers = {
        "resource limits": RESOURCE_LIMITS_ON_GPU if on_gpu else RESOURCE_LIMITS,
        "death with the worker, no new privileges": (*DIE_WITH_WORKER, "--"),
    }
    if os.geteuid() == 0:
        wrappers["no capabilities"] = ("setpriv", *NO_CAPABILITIES, "--")
    working = {name: argv for name, argv in wrappers.items() if _works(argv)}
    missing = [name for name in wrappers if name not in working]
    log.info("media processes run with: %s", "; ".join([*working, *confine.supported_layers()]) or "no sandbox")
    if missing:
        log.warning("media processes run without: %s", "; ".join(missing))
    return tuple(word for argv in working.values() for word in argv)


def _works(argv: tuple[str, ...]) -> bool:
    """Whether a wrapper can start a program here."""
    try:
        trial = subprocess.run([*argv, "true"], capture_output=True, timeout=TRIAL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0
