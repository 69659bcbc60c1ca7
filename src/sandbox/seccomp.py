"""A seccomp filter that denies a process sockets, other programs, and signals to other processes.

The filter is a classic BPF program, assembled here: linux/seccomp.h, linux/bpf_common.h, linux/audit.h.
"""

import ctypes
import errno
import platform
import struct
from pathlib import Path

KERNEL_SUPPORT = Path("/proc/sys/kernel/seccomp")
"""Exists if the kernel was built with seccomp filters."""
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_… of linux/audit.h, by the machine names of uname."""
DENIED_CALLS = {
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
"""System call numbers by machine. io_uring is denied because it can open sockets without the socket call."""
X32_CALL_BIT = 0x4000_0000
"""System calls of x86_64's x32 ABI are numbered from here on; all of them are denied."""
LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
"""Instruction codes of classic BPF, linux/bpf_common.h."""
ALLOW, DENY = 0x7FFF_0000, 0x0005_0000 | errno.EPERM
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with the error that a denied call returns."""
CALL_NUMBER_OFFSET, ARCHITECTURE_OFFSET = 0, 4
"""Offsets in bytes into struct seccomp_data."""


class FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_supported() -> bool:
    """Whether this kernel has seccomp filters and this processor's system call numbers are known."""
    return platform.machine() in AUDIT_ARCHITECTURES and KERNEL_SUPPORT.exists()


def deny_calls() -> None:
    """Deny DENIED_CALLS to the calling thread and to every thread it starts later; does nothing where unsupported.

    The thread must have set PR_SET_NO_NEW_PRIVS before.

    Raises:
        OSError: the kernel refused the filter.
    """
    if not is_supported():
        return
    machine = platform.machine()
    instructions = _filter_instructions(AUDIT_ARCHITECTURES[machine], sorted(DENIED_CALLS[machine].values()))
    program = FilterProgram(len(instructions), b"".join(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the system call filter")


def _filter_instructions(architecture: int, denied_numbers: list[int]) -> list[bytes]:
    """Assemble a filter that denies these system calls, and every call made for another architecture.

    A jump's operands count the instructions it skips. DENY is the last instruction and ALLOW the one before it.
    """
    num_denied = len(denied_numbers)
    return [
        _instruction(LOAD_WORD, 0, 0, ARCHITECTURE_OFFSET),
        _instruction(JUMP_IF_EQUAL, 0, num_denied + 3, architecture),
        _instruction(LOAD_WORD, 0, 0, CALL_NUMBER_OFFSET),
        _instruction(JUMP_IF_AT_LEAST, num_denied + 1, 0, X32_CALL_BIT),
        *(_instruction(JUMP_IF_EQUAL, num_denied - index, 0, number) for index, number in enumerate(denied_numbers)),
        _instruction(RETURN, 0, 0, ALLOW),
        _instruction(RETURN, 0, 0, DENY),
    ]


def _instruction(code: int, skip_if_true: int, skip_if_false: int, operand: int) -> bytes:
    """Encode one struct sock_filter."""
    return struct.pack("=HBBI", code, skip_if_true, skip_if_false, operand)
