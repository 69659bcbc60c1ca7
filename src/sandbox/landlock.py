"""Restricts a process to the files it is given, and hides other processes from it: Landlock, linux/landlock.h.

Landlock restricts the calling thread and whatever that thread starts later, so it is applied in child processes,
before they start threads.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""System call numbers, the same on all processors."""
CREATE_RULESET_VERSION, RULE_PATH_BENEATH = 1, 1
WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
NUM_RIGHTS_BY_ABI = (0, 13, 14, 15)
"""How many access rights on files each ABI version knows. Version 1 covers reading, writing, creating and removing;
2 adds moving files between directories (REFER), 3 truncating."""


def abi_version() -> int:
    """The kernel's Landlock ABI version; 0 if it has no Landlock."""
    return max(0, int(_libc().syscall(CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)))


def restrict_files(readable: Iterable[Path], writable: Iterable[Path] = ()) -> None:
    """Deny access to all files from now on, except these and those below these directories.

    Files that are already open stay open. Other processes can no longer be inspected, which includes their
    environment. Does nothing if the kernel has no Landlock.

    Args:
        readable: may be opened for reading.
        writable: may be opened for reading and writing.

    Raises:
        OSError: the kernel refused, as it does if the process has not set PR_SET_NO_NEW_PRIVS.
    """
    if not abi_version():
        return
    known_rights = (1 << NUM_RIGHTS_BY_ABI[min(abi_version(), len(NUM_RIGHTS_BY_ABI) - 1)]) - 1
    attributes = struct.pack("=Q", known_rights)  # struct landlock_ruleset_attr: what is denied unless allowed below
    ruleset = _checked(_libc().syscall(CREATE_RULESET, attributes, len(attributes), 0))
    try:
        for path in readable:
            _allow(ruleset, path, READ_FILE | READ_DIR)
        for path in writable:
            _allow(ruleset, path, known_rights & (READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE))
        _checked(_libc().syscall(RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Add a rule for a file or directory; a path that does not exist is skipped."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= ~READ_DIR
        rule = struct.pack("=Qi", rights, descriptor)  # struct landlock_path_beneath_attr
        _checked(_libc().syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock was refused: {errno.errorcode.get(code, code)}")
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
