"""test_local.py as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_script(*arguments: str | Path, directory: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "test_local.py", *arguments]
    environment = os.environ | settings
    return subprocess.run(
        command, cwd=directory, env=environment, check=False, capture_output=True, text=True, timeout=120
    )


@pytest.mark.timeout(150)
def test_a_video_is_answered_on_the_screen_and_in_a_file(twelve_seconds: Path, tmp_path: Path) -> None:
    kept = tmp_path / "out.json"
    options = ("--chunk-duration", "4", "--max-tokens", "4", "--json", kept)
    question = ("--video", twelve_seconds.name, "--prompt", "What happens?")
    finished = run_script(*question, *options, directory=twelve_seconds.parent)
    assert finished.returncode == 0, finished.stderr
    output = json.loads(kept.read_text())
    assert (output["success"], output["num_chunks"], output["status"]) == (True, 3, "complete")
    for shown in ("0:00-0:04", "0:04-0:08", "0:08-0:12", "Merged answer", "100% of 12 s seen", "the test model"):
        assert shown in finished.stdout
    assert "Traceback" not in finished.stderr


@pytest.mark.timeout(150)
def test_a_job_that_fails_is_one_sentence_and_status_1(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("This is no video.\n" * 100)
    finished = run_script("--video", text, "--model", tmp_path)  # an engine that starts would be waited for
    assert finished.returncode == 1
    assert finished.stdout.strip().splitlines()[-1].startswith("UNREADABLE_VIDEO: ")
    assert "Traceback" not in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (["--video", "nowhere/missing.mp4"], {}, "There is no file nowhere/missing.mp4."),
        (["--video", "README.md"], {"CHUNK_DURATION": "long"}, "The settings are wrong: chunk_duration: "),
    ],
)
def test_what_keeps_a_job_from_starting_is_one_sentence_and_status_1(
    arguments: list[str], settings: dict[str, str], sentence: str
) -> None:
    finished = run_script(*arguments, **settings)
    assert (finished.returncode, finished.stderr) == (1, "")
    assert finished.stdout.strip().splitlines()[-1].startswith(sentence)
