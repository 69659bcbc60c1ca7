"""Takes from a child process what reading a video needs nothing of: sockets, and other programs.

A filter on system calls, which the kernel applies to all threads from then on; child processes only.
"""

import ctypes
import errno
import platform
import struct
from pathlib import Path

KERNEL_SUPPORT = Path("/proc/sys/kernel/seccomp")
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_… of linux/audit.h by the names of uname."""
DENIED = {
    "x86_64": {"socket": 41, "socketpair": 53, "execve": 59, "ptrace": 101, "io_uring_setup": 425, "execveat": 322},
    "aarch64": {"socket": 198, "socketpair": 199, "execve": 221, "ptrace": 117, "io_uring_setup": 425, "execveat": 281},
}
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


def confine() -> None:
    """Deny the calls from now on, where that is supported."""
    if not is_supported():
        return
    machine = platform.machine()
    instructions = _filter(ARCHITECTURES[machine], sorted(DENIED[machine].values()))
    program = Program(len(instructions), b"".join(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
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
