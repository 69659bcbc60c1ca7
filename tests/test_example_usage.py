"""Every subcommand of `example_usage.py`, against the stand-in for RunPod's platform."""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import runpod

from gate import Gate
from runpod_stand_in import RunPodStandIn


@pytest.fixture
def example(platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, configured by environment variables to use the stand-in."""
    for key, value in platform.client_environment().items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(runpod, "endpoint_url_base", platform.url)
    path = Path(__file__).parents[1] / "example_usage.py"
    spec = importlib.util.spec_from_file_location("example_usage", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command_line(way: str, *video_urls: str) -> list[str]:
    return [way, "--video-url", *video_urls, "--prompt", "What is red?", "--top-p", "0.5", "--interval-s", "0.01"]


@pytest.mark.parametrize("way", ["sync", "poll", "async", "errors", "cancel"])
def test_each_subcommand_gets_its_answer(way: str, example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(command_line(way, "http://example.com/video.mp4"))
    printed = capsys.readouterr().out
    if way == "cancel":
        assert printed == "the job ended as COMPLETED\n"
    else:
        assert "partial: 50% of 120.0 s seen in 2 chunks\n[0.0-60.0 s] a red square\n" in printed
        assert "first red, asked ['prompt', 'top_p', 'video_url']\n" in printed


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("sync", "the job failed"),
        ("poll", "FAILED: UNREADABLE_VIDEO: no video stream"),
        ("async", "the job ended as FAILED"),
        ("errors", "code UNREADABLE_VIDEO: no video stream"),
    ],
)
def test_each_subcommand_reports_a_failed_job(way: str, reason: str, example: ModuleType) -> None:
    with pytest.raises(SystemExit, match=reason):
        example.main(command_line(way, "http://example.com/broken.mp4"))


def test_the_example_shows_the_progress_of_a_running_job(
    platform: RunPodStandIn,
    example: ModuleType,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def on_sleep(_: float) -> None:
        job = platform.jobs[-1]
        if "chunk 1" in (printed := capsys.readouterr().out):
            lines.append(printed)
            gate.wait_for_job()
            gate.open()
            platform.wait_for_status(job.id)
        else:
            platform.wait_until(lambda: job.progress, what="progress")

    lines: list[str] = []
    monkeypatch.setattr(example, "time", SimpleNamespace(sleep=on_sleep))
    example.main(command_line("poll", f"http://127.0.0.1:{gate.port}/gated.mp4"))
    assert lines[0].endswith(" 50%  infer  1 of 2 chunks  chunk 1\n")


def test_the_example_cancels_a_job_that_takes_too_long(
    platform: RunPodStandIn, example: ModuleType, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main([*command_line("cancel", f"http://127.0.0.1:{gate.port}/gated.mp4"), "--patience-s", "0"])
    assert capsys.readouterr().out == "the job ended as CANCELLED\n"
    assert platform.jobs[-1].results == []


def test_the_example_reports_each_video_of_a_batch(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(command_line("batch", "http://example.com/video.mp4", "http://example.com/broken.mp4"))
    reports = dict(report.split("\n", 1) for report in capsys.readouterr().out.split("== ")[1:])
    assert reports["http://example.com/video.mp4"].startswith("partial: 50%")
    assert reports["http://example.com/broken.mp4"] == "FAILED: UNREADABLE_VIDEO: no video stream\n"


def test_a_wrong_api_key_is_named_as_the_cause(example: ModuleType) -> None:
    with pytest.raises(SystemExit, match="check the API key"):
        example.main([*command_line("errors", "http://example.com/video.mp4"), "--api-key", "wrong"])
