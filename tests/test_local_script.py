"""test_local.py: as a process until the model is needed, and in this process with the test model."""

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import test_local
from rich.console import Console

from api.request import FIELDS, TEXT_PRESENCE_PENALTY
from config import load_settings
from every_option import FIELDS_GIVEN, every_option
from fakes import ScriptedEngine
from job_options import form_of, job_input, parse_arguments
from job_screen import StageBars
from tiny_model.environment import CHECKPOINT
from tiny_model.footage import true_sightings
from tiny_model.sample import sample_timeline
from tiny_model.world import answer_of, merged

ROOT = Path(__file__).parents[1]


async def run(video: Path, *arguments: str | Path, width: int = 100) -> tuple[dict[str, Any], str]:
    """Run the job that these arguments describe; its output and what is printed."""
    parsed = parse_arguments([*map(str, arguments)], "")
    printed = io.StringIO()
    console = Console(file=printed, width=width)
    with StageBars(console) as bars:
        output = await test_local.answer(parsed, str(video), bars)
    test_local.show(output, console, form_of(parsed), is_sample=parsed.video is None)
    return output, printed.getvalue()


def run_script(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "test_local.py", *map(str, arguments)]
    environment = os.environ | settings
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.usefixtures("worker")
async def test_the_answers_name_what_the_sample_shows(media_root: Path) -> None:
    sample = media_root / "sample.mp4"
    with StageBars(Console(file=io.StringIO())) as bars:
        shutil.copy(test_local.sample_video(bars), sample)
    output, printed = await run(sample, "--temperature", "0", "--prompt", "What is seen?", width=60)
    assert (output["success"], output["num_chunks"], output["status"]) == (True, 3, "complete")
    timeline = sample_timeline()
    parts = [true_sightings(timeline, start_s, start_s + 62, 2) for start_s in (0, 60, 120)]
    assert [chunk["text"] for chunk in output["chunk_results"]] == list(map(answer_of, parts))
    assert output["aggregated_response"] == answer_of(merged(parts))
    assert [sighting.subject for sighting in merged(parts)] == [scene.subject for scene in timeline.scenes]
    above, merged_answer = printed.split("merged answer\n")
    for shown in ("0:00-1:00", "1:00-2:00", "2:00-3:00", "shown", "prompt  What is seen?", "model   test model"):
        assert shown in above
    for sighting in merged(parts):
        assert merged_answer.count(str(sighting)) == 2  # said, and shown
    assert "100% of 180 s seen" in merged_answer
    words = " ".join(merged_answer.split())
    assert words.endswith("The test model answered. It knows coloured shapes and nothing else.")


@pytest.mark.usefixtures("worker")
async def test_what_the_test_model_says_about_a_real_video_is_marked_at_the_answer_and_in_the_result(
    twelve_seconds: Path,
) -> None:
    output, printed = await run(twelve_seconds, "--video", twelve_seconds, "--model", "test")
    assert output["model"] == "test model"
    assert output["warning"].endswith("these answers say nothing about this video.")
    assert " ".join(printed.split()).endswith(output["warning"])  # below the answers, where it cannot scroll away


async def test_a_job_that_fails_is_reported_in_one_sentence(media_root: Path, serve_with: Callable[..., None]) -> None:
    serve_with(ScriptedEngine())
    text = media_root / "text.mp4"
    text.write_text("This is no video.\n" * 100)
    output, printed = await run(text, "--video", text)
    assert output["error"].startswith("UNREADABLE_VIDEO: ")
    assert printed.strip().splitlines()[-1] == output["error"]
    assert "Traceback" not in printed


def test_after_an_error_the_command_ends_without_waiting_for_a_model_that_still_loads(
    tmp_path: Path, unanswering_port: int
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("This is no video.\n" * 100)
    hub = {"HF_ENDPOINT": f"http://127.0.0.1:{unanswering_port}", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    finished = run_script("--video", text, "--model", "some/model", **hub)
    assert finished.returncode == 1
    assert finished.stdout.strip().splitlines()[-1].startswith("UNREADABLE_VIDEO: ")
    assert finished.stderr == ""  # a load that is waited for fails in the end, and says so


def test_the_json_of_a_job_that_failed_is_written_too_and_the_command_says_where(tmp_path: Path) -> None:
    text, kept = tmp_path / "text.mp4", tmp_path / "out.json"
    text.write_text("This is no video.\n" * 100)
    finished = run_script("--video", text, "--model", "test", "--json", kept)
    written = json.loads(kept.read_text())
    assert finished.returncode == 1
    assert written["error"].startswith("UNREADABLE_VIDEO: ")
    assert written["model"] == "test model"
    assert finished.stdout.splitlines()[-1] == f"The result is in {kept}."


def test_a_dash_prints_the_json_alone_to_stdout(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("This is no video.\n" * 100)
    finished = run_script("--video", f"file://{text}", "--model", "test", "--json", "-")
    assert json.loads(finished.stdout)["error"].startswith("UNREADABLE_VIDEO: ")
    assert "UNREADABLE_VIDEO" in finished.stderr


def test_without_a_model_s_name_the_worker_s_settings_are_those_of_the_test_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"CHUNK_DURATION": "30"})
    test_local.choose_model(None, is_sample=True)
    test_local.allow_directory(str(tmp_path / "film.mp4"))
    settings = load_settings()
    assert (settings.model_name, settings.chunk_duration) == (str(CHECKPOINT), 30)
    assert settings.video_roots == (tmp_path,)


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (["--video", "nowhere/missing.mp4"], {}, "There is no file nowhere/missing.mp4."),
        (["--video", "README.md"], {}, "Nothing here can answer questions about this video: there is no GPU"),
        (["--video", "https://host/v.mp4"], {}, "Nothing here can answer questions about this video: there is no GPU"),
        (
            ["--video", "README.md", "--model", "test"],
            {"CHUNK_DURATION": "long"},
            "The settings are wrong: CHUNK_DURATION must be a number.",
        ),
        (
            ["--video", "README.md", "--model", "test", "--max-tokens", "0"],
            {},
            "INVALID_INPUT: max_tokens must be at least 1.",
        ),
    ],
)
def test_a_job_that_cannot_start_is_reported_in_one_sentence_with_status_1(
    arguments: list[str], settings: dict[str, str], sentence: str
) -> None:
    finished = run_script(*arguments, **settings)
    assert (finished.returncode, finished.stderr) == (1, "")
    *above, last = finished.stdout.strip().splitlines()
    assert last.startswith(sentence)
    assert bool(above) == sentence.startswith("INVALID_INPUT")  # nothing else is shown of what did not start


def test_every_field_of_a_job_can_be_given(tmp_path: Path) -> None:
    options = [*every_option(tmp_path), "--prompt=Where?"]
    one = job_input(parse_arguments(options, ""), "/video.mp4")
    several = job_input(parse_arguments([*options, "--stop=.", "--prompt=When?"], ""), "/video.mp4")
    given = FIELDS_GIVEN | {"video_url": "/video.mp4"}
    assert one == given | {"stop": ["END"], "prompt": "Where?"}
    assert several == given | {"stop": ["END", "."], "prompts": ["Where?", "When?"]}
    assert one.keys() | several.keys() == FIELDS.keys()
    fewest = job_input(parse_arguments(["--fps=4"], ""), "/video.mp4")
    assert fewest.keys() == {"video_url", "prompt", "sample_fps"}


@pytest.mark.parametrize(("written", "reason"), [(None, "cannot be read: No such file"), ("{", "is not JSON: ")])
def test_a_schema_that_is_no_json_file_is_one_sentence(
    written: str | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = tmp_path / "schema.json"
    if written is not None:
        schema.write_text(written)
    with pytest.raises(SystemExit):
        parse_arguments(["--response-schema", str(schema)], "")
    assert f"argument --response-schema: {schema} {reason}" in capsys.readouterr().err.splitlines()[-1]


def test_an_estimate_of_a_real_video_needs_neither_a_gpu_nor_the_model(twelve_seconds: Path) -> None:
    finished = run_script("--video", twelve_seconds, "--estimate", "--fps", "1")
    assert (finished.returncode, finished.stderr) == (0, "")
    printed = " ".join(finished.stdout.split())
    assert f"model {load_settings().model_name}" in printed
    assert "12 s at 1 fps" in printed
    assert "The test model answered" not in printed


def test_a_model_that_cannot_be_loaded_is_reported_with_the_cause(twelve_seconds: Path, tmp_path: Path) -> None:
    kept = tmp_path / "out.json"
    finished = run_script("--video", twelve_seconds, "--model", tmp_path, "--json", kept)
    assert (finished.returncode, finished.stderr) == (1, "")
    *_, error, cause, _ = finished.stdout.splitlines()
    assert error.startswith("ENGINE_START_FAILED: ")
    assert str(tmp_path) in cause
    written = json.loads(kept.read_text())
    assert (written["error"], written["cause"]) == (error, cause)


def test_an_error_is_broken_between_words_on_a_terminal_and_one_line_elsewhere() -> None:
    on_terminal, elsewhere = io.StringIO(), io.StringIO()
    for file in (on_terminal, elsewhere):
        console = Console(file=file, width=60, force_terminal=file is on_terminal, color_system=None)
        test_local.show({"error": test_local.NO_MODEL}, console, "text", is_sample=False)
    lines = on_terminal.getvalue().splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(map(str.strip, lines)) == test_local.NO_MODEL
    assert elsewhere.getvalue() == f"{test_local.NO_MODEL}\n"


def test_a_stage_that_an_exception_ended_leaves_no_bar() -> None:
    printed = io.StringIO()
    with contextlib.suppress(test_local.NotStarted), StageBars(Console(file=printed, width=60)) as bars:
        bars.show("start", "loading the program")
        bars.show("sample", "making the sample")
        raise test_local.NotStarted
    assert "loading the program" in printed.getvalue()
    assert "making the sample" not in printed.getvalue()


def test_the_help_names_every_field_of_a_job_with_its_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with contextlib.suppress(SystemExit):
        parse_arguments(["--help"], "")
    entries = [" ".join(entry.split()) for entry in re.split(r"\n\n|\n  (?=-)", capsys.readouterr().out)]
    shipped, presence_penalty = load_settings(), f"{TEXT_PRESENCE_PENALTY}, or 0 where the answer is JSON"
    in_words = {"end_time": "the end of the video", "presence_penalty": presence_penalty}
    for name, field in FIELDS.items():
        other_names = {"video_url": "--video", "prompts": "--prompt", "aggregate": "--no-aggregate"}
        option = other_names.get(name, f"--{name.replace('_', '-')}")
        (entry,) = [entry for entry in entries if entry.startswith(f"{option} ")]
        if name not in ("video_url", "prompt", "prompts", "aggregate", "estimate"):
            default = field.default if field.default is not None else getattr(shipped, name, None)
            shown = "none" if default in (None, []) else str(default).removesuffix(".0")
            assert entry.endswith(f"default: {in_words.get(name, shown)}"), name
