"""Program: `python -m sandbox.confine MODULE ON_GPU` loads a module and has it read the one video that stdin names.

stdin holds JSON: the video's path and a message for the module's `main`. Before that is called, the process gives
up, for itself and all threads to come, what reading a video needs nothing of: all other files, by sandbox.landlock;
sockets, other programs and signals to others, by a filter on system calls. What opens a video is started in this way
alone.
"""

import ctypes
import errno
import gc
import importlib
import json
import os
import platform
import struct
import sys
from pathlib import Path

from sandbox import landlock

OF_PYTHON = tuple(Path(path) for path in {sys.prefix, sys.base_prefix, *sys.path, "/usr", "/lib", "/lib64"} if path)
"""Where modules and libraries lie."""
THREADS = Path("/proc/self/task")
OF_CUDA = (Path("/proc"), Path("/sys"), Path("/etc"))
WRITTEN_BY_CUDA = (Path("/dev"), THREADS)
"""The driver does not start when it cannot name its threads, in /proc/self/task/…/comm (an H200, driver 580)."""
KERNEL_SUPPORT = Path("/proc/sys/kernel/seccomp")
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_… of linux/audit.h by the names of uname."""
DENIED = {
    "x86_64": {
        "socket": 41, "socketpair": 53, "io_uring_setup": 425, "execve": 59, "execveat": 322, "ptrace": 101,
        "process_vm_readv": 310, "process_vm_writev": 311, "kill": 62, "tkill": 200, "tgkill": 234,
        "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "pidfd_send_signal": 424,
    },
    "aarch64": {
        "socket": 198, "socketpair": 199, "io_uring_setup": 425, "execve": 221, "execveat": 281, "ptrace": 117,
        "process_vm_readv": 270, "process_vm_writev": 271, "kill": 129, "tkill": 130, "tgkill": 131,
        "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "pidfd_send_signal": 424,
    },
}  # fmt: skip
"""Numbers of system calls. io_uring could open sockets without any."""
X32_BIT = 0x4000_0000
"""Calls of x86_64's other interface have other numbers, from here on: all are denied."""
LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
"""Of the classic BPF, linux/bpf_common.h: code, jumps if true and if false, operand."""
ALLOW, DENY = 0x7FFF_0000, 0x0005_0000 | errno.EPERM
NUMBER_OFFSET, ARCHITECTURE_OFFSET = 0, 4
"""In struct seccomp_data."""


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_supported() -> bool:
    """Whether this machine's kernel has such filters, and its processor is known here."""
    return platform.machine() in ARCHITECTURES and KERNEL_SUPPORT.exists()


def layers() -> list[str]:
    """What this machine's kernel can take from a process, for people."""
    of_calls = ["no sockets, no other programs, no signals"] if is_supported() else []
    return [*of_calls, *(["no other files"] if landlock.version() else [])]


def confine(video: Path, *, on_gpu: bool) -> None:
    """Deny other files, and the calls, from now on, where that is supported.

    Args:
        video: the file that stays readable.
        on_gpu: whether the driver's files are needed.

    Raises:
        OSError: the kernel refused.
        RuntimeError: there are threads already, which nothing would be denied.
    """
    if len(list(THREADS.iterdir())) > 1:
        raise RuntimeError("A process that has threads cannot be confined.")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # without it neither of the two is allowed
    landlock.restrict([video, *OF_PYTHON, *(OF_CUDA if on_gpu else ())], WRITTEN_BY_CUDA if on_gpu else ())
    if not is_supported():
        return
    machine = platform.machine()
    instructions = _filter(ARCHITECTURES[machine], sorted(DENIED[machine].values()))
    program = Program(len(instructions), b"".join(instructions))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter on system calls was refused")


def _filter(architecture: int, numbers: list[int]) -> list[bytes]:
    """Instructions that deny the numbered calls, and all of another architecture."""
    checks = len(numbers)
    return [
        _instruction(LOAD_WORD, 0, 0, ARCHITECTURE_OFFSET),
        _instruction(JUMP_IF_EQUAL, 0, checks + 3, architecture),
        _instruction(LOAD_WORD, 0, 0, NUMBER_OFFSET),
        _instruction(JUMP_IF_AT_LEAST, checks + 1, 0, X32_BIT),
        *(_instruction(JUMP_IF_EQUAL, checks - index, 0, number) for index, number in enumerate(numbers)),
        _instruction(RETURN, 0, 0, ALLOW),
        _instruction(RETURN, 0, 0, DENY),
    ]


def _instruction(code: int, if_true: int, if_false: int, operand: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)


def main() -> None:
    """Load, wait, and read; without an order end at once."""
    name, on_gpu = sys.argv[1:]
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy would start threads, too early to confine them
    gc.disable()  # imports leave no garbage worth looking for: 4 ms of 120
    module = importlib.import_module(name)
    gc.enable()
    if order := sys.stdin.read():
        video, message = json.loads(order)
        confine(Path(video), on_gpu=on_gpu == str(True))
        module.main(video, message, on_gpu=on_gpu == str(True))


if __name__ == "__main__":
    main()
