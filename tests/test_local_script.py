"""test_local.py: as a process until the model is needed, and in this process with the test model."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import test_local
from rich.console import Console

from config import load_settings
from fakes import ScriptedEngine
from pipeline import Services
from tiny_model.environment import CHECKPOINT
from tiny_model.footage import true_sightings
from tiny_model.sample import sample_timeline
from tiny_model.world import answer_of, merged

ROOT = Path(__file__).parents[1]


async def run(video: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> tuple[int, str]:
    """Run the job that these arguments describe; the exit status and what is printed."""
    monkeypatch.setattr(sys, "argv", ["test_local.py", *map(str, arguments)])
    printed = io.StringIO()
    status = await test_local.run(test_local.parse_arguments(), str(video), Console(file=printed))
    return status, printed.getvalue()


@pytest.fixture
def stays_up(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session's engine outlives the script's run."""

    async def stay_up() -> None:
        pass

    monkeypatch.setattr(services.client, "shutdown", stay_up)


@pytest.mark.usefixtures("worker", "stays_up")
async def test_the_answers_name_what_the_sample_shows(
    tmp_path: Path, media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, kept = media_root / "sample.mp4", tmp_path / "out.json"
    shutil.copy(test_local.sample_video(Console()), sample)
    status, printed = await run(sample, monkeypatch, "--temperature", "0", "--json", kept)
    assert status == 0
    output = json.loads(kept.read_text())
    assert (output["success"], output["num_chunks"], output["status"]) == (True, 3, "complete")
    timeline = sample_timeline()
    parts = [true_sightings(timeline, start_s, start_s + 62, 2) for start_s in (0, 60, 120)]
    assert [chunk["text"] for chunk in output["chunk_results"]] == list(map(answer_of, parts))
    assert output["aggregated_response"] == answer_of(merged(parts))
    assert [sighting.subject for sighting in merged(parts)] == [scene.subject for scene in timeline.scenes]
    for shown in ("0:00-1:00", "1:00-2:00", "2:00-3:00", "shown", "Merged answer", "100% of 180 s seen"):
        assert shown in printed
    *_, merged_table, _ = printed.split("\n\n")
    for sighting in merged(parts):
        assert merged_table.count(str(sighting)) == 2  # said, and shown


async def test_a_job_that_fails_is_reported_in_one_sentence_with_status_1(
    media_root: Path, serve_with: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_with(ScriptedEngine())
    text = media_root / "text.mp4"
    text.write_text("This is no video.\n" * 100)
    status, printed = await run(text, monkeypatch, "--video", text)
    assert status == 1
    assert printed.strip().splitlines()[-1].startswith("UNREADABLE_VIDEO: ")
    assert "Traceback" not in printed


def test_without_a_model_s_name_the_worker_s_settings_are_those_of_the_test_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"CHUNK_DURATION": "30"})
    assert not test_local.prepare_environment(None, str(tmp_path / "film.mp4"))
    settings = load_settings()
    assert (settings.model_name, settings.chunk_duration) == (str(CHECKPOINT), 30)
    assert settings.video_roots == (tmp_path,)


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (["--video", "nowhere/missing.mp4"], {}, "There is no file nowhere/missing.mp4."),
        (["--video", "README.md"], {"CHUNK_DURATION": "long"}, "The settings are wrong: CHUNK_DURATION "),
    ],
)
def test_a_job_that_cannot_start_is_reported_in_one_sentence_with_status_1(
    arguments: list[str], settings: dict[str, str], sentence: str
) -> None:
    finished = subprocess.run(
        [sys.executable, "test_local.py", *arguments],
        cwd=ROOT, env=os.environ | settings, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (finished.returncode, finished.stderr) == (1, "")
    assert finished.stdout.strip().splitlines()[-1].startswith(sentence)
    assert ("the test model answers" in finished.stdout) == ("CHUNK_DURATION" in settings)
