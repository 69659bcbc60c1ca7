"""Program `python -m sandbox.confine MODULE ON_GPU`: runs MODULE's `main` on one video in a confined process.

stdin carries JSON: the path of the video, and the argument for the module's `main`. The module is imported first,
while stdin is still open: its libraries load before there is a video. Before `main` runs, the process gives
up everything that reading a video does not need, for all its threads: every other file (sandbox.landlock), and
sockets, other programs and signals to other processes (sandbox.seccomp). Nothing else in the worker opens a video.
"""

import ctypes
import gc
import importlib
import json
import os
import sys
from pathlib import Path

from sandbox import landlock, seccomp

PYTHON_PATHS = tuple(Path(path) for path in {sys.prefix, sys.base_prefix, *sys.path, "/usr", "/lib", "/lib64"} if path)
"""Directories with Python modules and shared libraries."""
OWN_THREADS = Path("/proc/self/task")
CUDA_READABLE_PATHS = (Path("/proc"), Path("/sys"), Path("/etc"))
CUDA_WRITABLE_PATHS = (Path("/dev"), OWN_THREADS)
"""The driver writes its threads' names to /proc/self/task/…/comm and does not start if it cannot (an H200, driver
580)."""
PR_SET_NO_NEW_PRIVS = 38
SYSTEM_CALLS = "no sockets, no other programs, no signals"
OTHER_FILES = "no other files"
"""Names of the layers."""


def confine(video: Path, *, on_gpu: bool) -> None:
    """Deny this process other files and dangerous system calls from now on, as far as the kernel supports that.

    Args:
        video: the file that stays readable.
        on_gpu: whether the GPU driver's files stay accessible too.

    Raises:
        OSError: the kernel refused.
        RuntimeError: the process already has several threads; the others would not be confined.
    """
    if len(list(OWN_THREADS.iterdir())) > 1:
        raise RuntimeError("A process that has threads cannot be confined.")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # Landlock and seccomp both require it
    landlock.restrict_files(
        readable=[video, *PYTHON_PATHS, *(CUDA_READABLE_PATHS if on_gpu else ())],
        writable=CUDA_WRITABLE_PATHS if on_gpu else (),
    )
    seccomp.filter_calls(allow_unknown=on_gpu)


def layers() -> dict[str, bool]:
    """What `confine` takes away, in words for the log, and whether this machine's kernel can do that."""
    return {SYSTEM_CALLS: seccomp.is_supported(), OTHER_FILES: landlock.abi_version() > 0}


def main() -> None:
    """Import the module, wait for the video, confine, run; if stdin ends empty, exit at once."""
    name, on_gpu = sys.argv[1:]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # else NumPy starts threads on import, before they can be confined
    gc.disable()  # imports leave no garbage worth looking for: 4 ms of 120
    module = importlib.import_module(name)
    gc.enable()
    # A line, not all up to the end: a process that was forked meanwhile, such as vLLM's engine, keeps the pipe open.
    if order := sys.stdin.readline():
        video, message = json.loads(order)
        confine(Path(video), on_gpu=on_gpu == str(True))
        module.main(video, message, on_gpu=on_gpu == str(True))


if __name__ == "__main__":
    main()
