"""The util-linux commands (prlimit, setpriv) that every sandboxed process is started through.

They limit what a process may use and make it die with the worker. A process that opens a video also confines itself,
see sandbox.confine. Together these are the layers of the sandbox; a layer that this machine does not support is left
out.
"""

import logging
import os
import subprocess
from collections.abc import Mapping
from functools import cache

from sandbox import confine

log = logging.getLogger(__name__)

MAX_MEMORY_BYTES = 8 * 2**30
"""Upper bound for one process. A hostile header asks for terabytes."""
MAX_OPEN_FILES = 256
RESOURCE_LIMITS = "resource limits"
DIE_WITH_WORKER = "death with the worker, no new privileges"
NO_CAPABILITIES = "no capabilities"
COMMANDS = {
    DIE_WITH_WORKER: ("setpriv", "--pdeathsig=KILL", "--no-new-privs", "--"),
    NO_CAPABILITIES: ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--"),
}
TRIAL_TIMEOUT_S = 10


def wrapper_argv(max_memory_bytes: int = MAX_MEMORY_BYTES, *, on_gpu: bool = False) -> list[str]:
    """Return the words to put before a process's own argv.

    Args:
        max_memory_bytes: limits the address space. CUDA reserves address space for all memory of the machine, so on a
            GPU only private writable memory is limited.
        on_gpu: whether the process uses the GPU.
    """
    commands = _commands(max_memory_bytes, on_gpu=on_gpu)
    are_working = layers()
    return [word for name, argv in commands.items() if are_working[name] for word in argv]


def missing_layers() -> list[str]:
    """Return the layers of the sandbox that this machine does not support."""
    return [name for name, is_working in layers().items() if not is_working]


@cache
def layers() -> Mapping[str, bool]:
    """Return the names of all layers and whether this machine supports them; the first call tries and logs them."""
    found = {name: _works(argv) for name, argv in _commands(MAX_MEMORY_BYTES, on_gpu=False).items()} | confine.layers()
    working = [name for name, is_working in found.items() if is_working]
    log.info("media processes run with: %s", "; ".join(working) or "no sandbox")
    for name, is_working in found.items():
        if not is_working:
            log.warning("media processes run without: %s", name)
    return found


def _commands(max_memory_bytes: int, *, on_gpu: bool) -> dict[str, tuple[str, ...]]:
    memory = "data" if on_gpu else "as"
    limits = ("prlimit", f"--{memory}={max_memory_bytes}", f"--nofile={MAX_OPEN_FILES}", "--core=0", "--")
    commands = {RESOURCE_LIMITS: limits, **COMMANDS}
    if os.geteuid() != 0:  # only root has capabilities to drop, and only root may drop them
        del commands[NO_CAPABILITIES]
    return commands


def _works(argv: tuple[str, ...]) -> bool:
    """Whether a command can start a program here."""
    try:
        trial = subprocess.run([*argv, "true"], capture_output=True, timeout=TRIAL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return trial.returncode == 0
