"""`make setup` with a Python and a uv that install nothing: what it deletes, what it repairs, and what it says."""

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import termios
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/bash
[ "$1" = -c ] && exit 0
[ -n "$VENV_FAILS" ] && { echo "Error: [Errno 28] No space left on device" >&2; exit 1; }
mkdir -p "$3/bin" && cp "$STUBS/uv" "$STUBS/pip" "$3/bin" && cp "$0" "$3/bin/python"
"""
UV = """#!/bin/bash
[ -n "$KILLED_IN_UV" ] && kill -KILL 0
[ -n "$UV_FAILS" ] && { printf 'error: Failed to fetch\\n  Caused by: network unreachable\\n' >&2; exit 2; }
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the set-up reads."""
    directory = tmp_path / "checkout"
    (directory / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "setup", directory / ".ci")
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name, text in {"python3.11": PYTHON, "uv": UV, "pip": "#!/bin/sh\n", "ffmpeg": "", "ffprobe": ""}.items():
        (stubs / name).write_text(text)
        (stubs / name).chmod(0o755)
    return directory


def set_up(checkout: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    stubs = checkout.parent / "stubs"
    environment = {"PATH": f"{stubs}:/usr/bin:/bin", "STUBS": str(stubs), "VLLM_TARGET_DEVICE": "cpu"} | variables
    return subprocess.run(
        [checkout / ".ci" / "setup", *arguments],
        env=environment, capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip


def complete(checkout: Path) -> None:
    """Set up as `make setup` does, and leave something to recognise the environment by."""
    assert set_up(checkout).returncode == 0
    (checkout / ".venv" / ".ready").touch()
    (checkout / ".venv" / "mine").touch()


@pytest.mark.parametrize("is_link", [False, True], ids=["directory", "link"])
@pytest.mark.parametrize("arguments", [[], ["--remove"]], ids=["setup", "clean"])
def test_an_environment_that_make_did_not_make_is_left_alone(
    checkout: Path, arguments: list[str], *, is_link: bool
) -> None:
    made = checkout / "elsewhere" if is_link else checkout / ".venv"
    made.mkdir()
    (made / "mine").touch()
    if is_link:
        (checkout / ".venv").symlink_to(made)
    finished = set_up(checkout, *arguments)
    assert (made / "mine").exists()
    assert ".venv was not made by make, so it" in finished.stdout + finished.stderr
    assert finished.returncode == (0 if arguments else 1)


def test_clean_removes_an_environment_that_make_made(checkout: Path) -> None:
    complete(checkout)
    assert set_up(checkout, "--remove").returncode == 0
    assert not (checkout / ".venv").exists()


def test_a_machine_with_a_gpu_gets_a_sentence_instead_of_the_cpu_build(checkout: Path) -> None:
    tool = checkout.parent / "stubs" / "nvidia-smi"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    finished = set_up(checkout, VLLM_TARGET_DEVICE="")
    assert (finished.returncode, len(finished.stderr.splitlines())) == (1, 1)
    assert "this machine has an NVIDIA driver" in finished.stderr
    assert not (checkout / ".venv").exists()
    assert set_up(checkout, VLLM_TARGET_DEVICE="cpu").returncode == 0


def test_on_a_terminal_a_sentence_is_broken_between_words(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "mine").touch()
    sentence = " ".join(set_up(checkout).stderr.split())
    reader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 40))
    environment = {"PATH": f"{checkout.parent / 'stubs'}:/usr/bin:/bin", "VLLM_TARGET_DEVICE": "cpu"}
    subprocess.run([checkout / ".ci" / "setup"], env=environment, stderr=terminal, check=False)
    os.close(terminal)
    with contextlib.suppress(OSError), os.fdopen(reader, "rb", buffering=0) as screen:  # the end of a terminal
        lines = screen.read(1000).decode().splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(map(str.strip, lines)) == sentence


def test_a_set_up_that_was_killed_is_repaired_by_the_next_one(checkout: Path) -> None:
    assert set_up(checkout, KILLED_IN_UV="1").returncode == -signal.SIGKILL
    assert (checkout / ".venv").exists()
    assert set_up(checkout).returncode == 0
    assert (checkout / ".venv" / "bin" / "python").exists()


def test_an_update_that_was_killed_is_repaired_by_the_next_one(checkout: Path) -> None:
    complete(checkout)
    assert set_up(checkout, KILLED_IN_UV="1").returncode == -signal.SIGKILL
    assert set_up(checkout).returncode == 0
    assert sorted(path.name for path in checkout.iterdir()) == [".ci", ".venv"]


@pytest.mark.parametrize(
    ("variable", "reason"), [("UV_FAILS", "Caused by: network unreachable"), ("VENV_FAILS", "No space left on device")]
)
def test_a_set_up_that_fails_says_why_in_one_line_and_gives_the_old_environment_back(
    checkout: Path, variable: str, reason: str
) -> None:
    complete(checkout)
    finished = set_up(checkout, **{variable: "1"})
    assert (finished.returncode, len(finished.stderr.splitlines())) == (1, 1)
    assert finished.stderr.startswith("setup: ")
    assert reason in finished.stderr
    assert (checkout / ".venv" / "mine").exists()
    assert not (checkout / ".venv.old").exists()


@pytest.mark.parametrize("columns", [60, 100])
def test_the_list_of_targets_fits_the_terminal_and_names_every_target(columns: int) -> None:
    environment = os.environ | {"COLUMNS": str(columns)}
    listed = subprocess.run(["make", "help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert max(map(len, listed.stdout.splitlines())) <= columns
    (targets,) = re.findall(r"(?m)^\.PHONY: (.*)$", (ROOT / "Makefile").read_text())
    assert re.findall(r"(?m)^make ([\w-]+)", listed.stdout) == targets.split()
