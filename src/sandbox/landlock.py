"""Takes from a process all files but those that it may read, and the sight of other processes: linux/landlock.h.

Landlock limits the calling thread and what it starts, so it is called before there are others; child processes only.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same on all processors."""
VERSION_FLAG, RULE_PATH_BENEATH = 1, 1
WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
RIGHTS_OF_VERSION = (0, 13, 14, 15)
"""How many rights on files the versions know: reading, writing, making, moving, cutting."""


def version() -> int:
    """The kernel's version of Landlock; 0 where it has none."""
    return max(0, int(_libc().syscall(CREATE_RULESET, None, 0, VERSION_FLAG)))


def restrict(readable: Iterable[Path], writable: Iterable[Path] = ()) -> None:
    """Deny from now on all files but these, and those below these directories; what is open stays open.

    Other processes can no longer be looked into, their environment included. Without Landlock nothing changes.

    Raises:
        OSError: the kernel refused; as it does to a process that may still gain privileges.
    """
    if not version():
        return
    rights = (1 << RIGHTS_OF_VERSION[min(version(), len(RIGHTS_OF_VERSION) - 1)]) - 1
    attributes = struct.pack("=Q", rights)
    ruleset = _checked(_libc().syscall(CREATE_RULESET, attributes, len(attributes), 0))
    try:
        for path in readable:
            _allow(ruleset, path, READ_FILE | READ_DIR)
        for path in writable:
            _allow(ruleset, path, rights & (READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE))
        _checked(_libc().syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= ~READ_DIR
        _checked(_libc().syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock was refused: {errno.errorcode.get(code, code)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
