#!/usr/bin/env bash
# A process that imports NumPy and then confines itself with seccomp is confined in one of its threads only.
#
# Guess: One would expect that a Python program that starts no threads has one, and that a seccomp filter which it sets
# on itself before it opens a foreign file (as with Landlock) holds for the whole process.
#
# Behaviour: importing NumPy starts OpenBLAS's pool, a thread for every further processor, before a line of the program
# runs. prctl(PR_SET_SECCOMP) and landlock_restrict_self hold for the calling thread and those it starts later; the pool
# keeps running without a filter. Nothing fails and nothing warns. The remedies:
# OPENBLAS_NUM_THREADS=1 in the environment before the import, or SECCOMP_FILTER_FLAG_TSYNC, or a count of
# /proc/self/task before confining.
#
# Source: seccomp(2) and landlock_restrict_self(2) say that they are for the calling thread. NumPy's documentation says
# that linear algebra may run in several threads, and not that the import starts them.
#
# Versions: NumPy 2.3.5, Python 3.11, Linux 6.18 (the field Seccomp_filters needs 5.9), at least two processors.
# Date: 2026-12-01.
# Output seen (on two processors):
#   threads before the import 1, after it 2
#   filters added to: the main thread 1, threads of NumPy 0, a thread started later 1
#   with OPENBLAS_NUM_THREADS=1: threads after the import 1
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numpy==2.3.5
uname -r
test "$(nproc)" -ge 2 || { echo "one processor: OpenBLAS has no pool here" && exit 2; }

env --unset=OPENBLAS_NUM_THREADS --unset=OMP_NUM_THREADS venv/bin/python - <<'PYTHON'
import ctypes
import os
import struct
import threading

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
RETURN, ALLOW = 0x06, 0x7FFF0000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def threads():
    return sorted(map(int, os.listdir("/proc/self/task")))


def filters(thread):
    with open(f"/proc/self/task/{thread}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Seccomp_filters:"))


before = threads()
import numpy  # noqa: E402

pool = [thread for thread in threads() if thread not in before]
print(f"threads before the import {len(before)}, after it {len(before + pool)}")
main, start = threading.get_native_id(), {thread: filters(thread) for thread in threads()}

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
program = Program(1, struct.pack("=HBBI", RETURN, 0, 0, ALLOW))  # a filter that allows everything
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0

later = []
thread = threading.Thread(target=lambda: later.append(filters(threading.get_native_id())))
thread.start()
thread.join()
added = {one: filters(one) - start[one] for one in start}
in_pool = sorted({added[one] for one in pool})
print(f"filters added to: the main thread {added[main]}, threads of NumPy {in_pool[0]}, "
      f"a thread started later {later[0] - start[main]}")
assert len(before) == 1 and pool
assert (added[main], in_pool, later[0] - start[main]) == (1, [0], 1)
PYTHON
count=$(OPENBLAS_NUM_THREADS=1 venv/bin/python -c 'import os, numpy; print(len(os.listdir("/proc/self/task")))')
echo "with OPENBLAS_NUM_THREADS=1: threads after the import $count"
test "$count" -eq 1
echo "finding holds"
