"""test_local.py as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "test_local.py", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.timeout(150)
def test_a_video_is_answered_on_the_screen_and_in_a_file(
    checkpoint: Path, twelve_seconds: Path, tmp_path: Path
) -> None:
    assert checkpoint
    kept = tmp_path / "out.json"
    options = ("--chunk-duration", "4", "--max-tokens", "4", "--json", kept)
    finished = run_script("--video", twelve_seconds, "--prompt", "What happens?", *options)
    assert finished.returncode == 0, finished.stderr
    output = json.loads(kept.read_text())
    assert (output["success"], output["num_chunks"], output["status"]) == (True, 3, "complete")
    for shown in ("0:00-0:04", "0:04-0:08", "0:08-0:12", "Merged answer", "100% of 12 s seen", "the test checkpoint"):
        assert shown in finished.stdout
    assert "Traceback" not in finished.stderr


@pytest.mark.timeout(150)
def test_a_failure_is_one_sentence_and_status_1(checkpoint: Path, tmp_path: Path) -> None:
    assert checkpoint
    finished = run_script("--video", tmp_path / "missing.mp4")
    assert finished.returncode == 1
    assert finished.stdout.strip().splitlines()[-1].startswith("SOURCE_NOT_FOUND: ")
    assert "Traceback" not in finished.stdout + finished.stderr
