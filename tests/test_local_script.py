"""test_local.py as a person runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiny_model.footage import true_sightings
from tiny_model.sample import sample_timeline
from tiny_model.world import answer_of, merged

ROOT = Path(__file__).parents[1]


def run_script(*arguments: str | Path, directory: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "test_local.py", *arguments]
    environment = os.environ | settings
    return subprocess.run(
        command, cwd=directory, env=environment, check=False, capture_output=True, text=True, timeout=120
    )


@pytest.mark.timeout(300)
def test_what_the_sample_shows_is_what_is_said_of_it(tmp_path: Path) -> None:
    kept = tmp_path / "out.json"
    finished = run_script("--temperature", "0", "--json", kept)
    assert finished.returncode == 0, finished.stderr
    output = json.loads(kept.read_text())
    assert (output["success"], output["num_chunks"], output["status"]) == (True, 3, "complete")
    timeline = sample_timeline()
    parts = [true_sightings(timeline, start_s, start_s + 62, 2) for start_s in (0, 60, 120)]
    assert [chunk["text"] for chunk in output["chunk_results"]] == list(map(answer_of, parts))
    assert output["aggregated_response"] == answer_of(merged(parts))
    assert [sighting.subject for sighting in merged(parts)] == [scene.subject for scene in timeline.scenes]
    for printed in (
        "0:00-1:00",
        "1:00-2:00",
        "2:00-3:00",
        "shown",
        "Merged answer",
        "100% of 180 s seen",
        "the test model",
    ):
        assert printed in finished.stdout
    *_, merged_table, _ = finished.stdout.split("\n\n")
    for sighting in merged(parts):
        assert merged_table.count(str(sighting)) == 2  # said, and shown
    assert "Traceback" not in finished.stderr


@pytest.mark.timeout(150)
def test_a_job_that_fails_is_one_sentence_and_status_1(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("This is no video.\n" * 100)
    finished = run_script(
        "--video", text.name, "--model", tmp_path, directory=tmp_path
    )  # an engine that starts would be waited for
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
