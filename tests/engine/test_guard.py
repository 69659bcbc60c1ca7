"""What multiprocessing has started ends with its worker, even when that is killed."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SRC = Path(__file__).parents[2] / "src"
WORKER = """
import multiprocessing, os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from engine.guard import guard_children

def wait():
    signal.pause()

if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=wait)
    child.start()
    guard = guard_children()
    print(child.pid, flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    child.kill()
    child.join()
"""


def guards() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if any("pidfd_send_signal" in word for word in process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize("end", ["killed", "gone in peace"])
def test_a_worker_that_ends_leaves_neither_child_nor_guard(end: str) -> None:
    before = {guard.pid for guard in guards()}
    ran = subprocess.run(
        [sys.executable, "-c", WORKER, str(SRC), end], check=False, stdout=subprocess.PIPE, text=True, timeout=60
    )
    left = [psutil.Process(pid) for pid in [int(ran.stdout)] if psutil.pid_exists(pid)]
    own = [guard for guard in guards() if guard.pid not in before]
    _, alive = psutil.wait_procs([*left, *own], timeout=30)
    assert alive == []
