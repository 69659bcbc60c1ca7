"""A seccomp filter that leaves a process only the system calls that decoding a video takes.

Whatever is not on the list fails as if the kernel did not know it, which glibc copes with: it starts a thread with
clone when clone3 is unknown. A process that uses the GPU keeps every call that is not denied by name, because what the
driver calls has not been measured.

The filter is a classic BPF program, assembled here: linux/seccomp.h, linux/bpf_common.h, linux/audit.h.
"""

import ctypes
import errno
import platform
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

KERNEL_SUPPORT = Path("/proc/sys/kernel/seccomp")
"""Exists if the kernel was built with seccomp filters."""
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
AUDIT_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_… of linux/audit.h, by the machine names of uname."""
DENIED_CALLS: Mapping[str, Mapping[str, int]] = {
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
"""The calls that every process is denied with EPERM, by machine. io_uring can open sockets without the socket call."""
ALLOWED_CALLS: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "pread64": 17, "readv": 19, "writev": 20,
        "getcwd": 79, "readlink": 89, "getdents64": 217, "openat": 257, "newfstatat": 262, "readlinkat": 267,
        "statx": 332,
        "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "mremap": 25, "madvise": 28,
        "futex": 202, "set_robust_list": 273, "rseq": 334, "gettid": 186, "getpid": 39, "exit": 60, "exit_group": 231,
        "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "sigaltstack": 131, "restart_syscall": 219,
        "sched_yield": 24, "sched_getaffinity": 204,
        "nanosleep": 35, "gettimeofday": 96, "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230,
        "sysinfo": 99, "getrandom": 318,
    },
    "aarch64": {
        "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "pread64": 67, "readv": 65, "writev": 66,
        "getcwd": 17, "getdents64": 61, "openat": 56, "newfstatat": 79, "readlinkat": 78, "statx": 291,
        "mmap": 222, "mprotect": 226, "munmap": 215, "brk": 214, "mremap": 216, "madvise": 233,
        "futex": 98, "set_robust_list": 99, "rseq": 293, "gettid": 178, "getpid": 172, "exit": 93, "exit_group": 94,
        "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "sigaltstack": 132, "restart_syscall": 128,
        "sched_yield": 124, "sched_getaffinity": 123,
        "nanosleep": 101, "gettimeofday": 169, "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115,
        "sysinfo": 179, "getrandom": 278,
    },
}  # fmt: skip
"""The calls that a process without a GPU keeps, by machine; Landlock decides which files it may open. strace
saw the greater part in probing and decoding every kind of file that the tests make; the rest are what the C library
uses rarely or in their place: when large blocks grow, when clocks are read without the vDSO, when a signal comes."""


@dataclass(frozen=True, slots=True)
class ArgumentRule:
    """A call that is allowed if one of its arguments permits it, and otherwise fails with EPERM."""

    numbers: Mapping[str, int]
    """The call's number by machine."""
    argument: int
    """Which argument counts, from 0; its lower 32 bits do."""
    values: tuple[int, ...]
    test: int
    """JUMP_IF_EQUAL: the argument is one of the values. JUMP_IF_ANY_BIT: it has one of their bits."""


LOAD_WORD, JUMP_IF_EQUAL, JUMP_IF_AT_LEAST, JUMP_IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Instruction codes of classic BPF, linux/bpf_common.h."""
ARGUMENT_RULES = {
    # CLONE_THREAD: threads and no processes. Of clone3 a filter cannot see the flags.
    "clone": ArgumentRule({"x86_64": 56, "aarch64": 220}, 0, (0x0001_0000,), JUMP_IF_ANY_BIT),
    # F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC. F_SETOWN would make the kernel send signals to the worker.
    "fcntl": ArgumentRule({"x86_64": 72, "aarch64": 25}, 1, (1, 2, 3, 1030), JUMP_IF_EQUAL),
    # PR_SET_NAME: libav names its threads.
    "prctl": ArgumentRule({"x86_64": 157, "aarch64": 167}, 0, (15,), JUMP_IF_EQUAL),
    # The limits of this process and of no other one.
    "prlimit64": ArgumentRule({"x86_64": 302, "aarch64": 261}, 0, (0,), JUMP_IF_EQUAL),
}
NEW_PROCESS_CALLS: Mapping[str, Mapping[str, int]] = {"x86_64": {"fork": 57, "vfork": 58}, "aarch64": {}}
IOCTL_CALL = {"x86_64": 16, "aarch64": 29}
"""Fails with ENOTTY: Python asks of each file that it opens whether it is a terminal."""
X32_CALL_BIT = 0x4000_0000
"""System calls of x86_64's x32 ABI are numbered from here on; all of them are denied."""
ALLOW, FAIL = 0x7FFF_0000, 0x0005_0000
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO to which the error is added that the call returns."""
CALL_NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16
"""Offsets in bytes into struct seccomp_data. Its arguments have 64 bits each, the lower half first."""
ARGUMENT_BYTES = 8


class FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_supported() -> bool:
    """Whether this kernel has seccomp filters and this processor's system call numbers are known."""
    return platform.machine() in AUDIT_ARCHITECTURES and KERNEL_SUPPORT.exists()


def filter_calls(*, allow_unknown: bool) -> None:
    """Filter the system calls of the calling thread and of every thread it starts later; nothing where unsupported.

    The thread must have set PR_SET_NO_NEW_PRIVS before.

    Args:
        allow_unknown: deny DENIED_CALLS alone, instead of allowing the listed calls alone.

    Raises:
        OSError: the kernel refused the filter.
    """
    if not is_supported():
        return
    machine = platform.machine()
    rules = _deny_list(machine) if allow_unknown else _allow_list(machine)
    instructions = [*_preamble(AUDIT_ARCHITECTURES[machine]), *rules]
    program = FilterProgram(len(instructions), b"".join(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused the system call filter")


def _preamble(architecture: int) -> list[bytes]:
    """Deny every call made for another architecture or ABI, and leave the call's number loaded."""
    return [
        _instruction(LOAD_WORD, ARCHITECTURE_OFFSET),
        _instruction(JUMP_IF_EQUAL, architecture, skip_if_true=1),
        _instruction(RETURN, FAIL | errno.EPERM),
        _instruction(LOAD_WORD, CALL_NUMBER_OFFSET),
        _instruction(JUMP_IF_AT_LEAST, X32_CALL_BIT, skip_if_false=1),
        _instruction(RETURN, FAIL | errno.EPERM),
    ]


def _deny_list(machine: str) -> list[bytes]:
    return [*_verdicts(DENIED_CALLS[machine].values(), FAIL | errno.EPERM), _instruction(RETURN, ALLOW)]


def _allow_list(machine: str) -> list[bytes]:
    denied = [*DENIED_CALLS[machine].values(), *NEW_PROCESS_CALLS[machine].values()]
    return [
        *_verdicts(ALLOWED_CALLS[machine].values(), ALLOW),
        *(step for rule in ARGUMENT_RULES.values() for step in _argument_rule(rule, machine)),
        *_verdicts(denied, FAIL | errno.EPERM),
        *_verdicts([IOCTL_CALL[machine]], FAIL | errno.ENOTTY),
        _instruction(RETURN, FAIL | errno.ENOSYS),
    ]


def _verdicts(numbers: Iterable[int], verdict: int) -> Iterator[bytes]:
    for number in numbers:
        yield _instruction(JUMP_IF_EQUAL, number, skip_if_false=1)
        yield _instruction(RETURN, verdict)


def _argument_rule(rule: ArgumentRule, machine: str) -> list[bytes]:
    decision = [_instruction(LOAD_WORD, ARGUMENTS_OFFSET + ARGUMENT_BYTES * rule.argument)]
    for value in rule.values:
        decision += [_instruction(rule.test, value, skip_if_false=1), _instruction(RETURN, ALLOW)]
    decision.append(_instruction(RETURN, FAIL | errno.EPERM))
    return [_instruction(JUMP_IF_EQUAL, rule.numbers[machine], skip_if_false=len(decision)), *decision]


def _instruction(code: int, operand: int, *, skip_if_true: int = 0, skip_if_false: int = 0) -> bytes:
    """Encode one struct sock_filter; a jump counts the instructions that it skips."""
    return struct.pack("=HBBI", code, skip_if_true, skip_if_false, operand)
