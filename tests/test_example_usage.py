"""Every subcommand of `example_usage.py`, against the stand-in for RunPod's platform."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import requests
import runpod

from api.request import FIELDS
from every_option import FIELDS_GIVEN, every_option
from gate import Gate
from gated_worker import ANSWER
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
def test_each_subcommand_gets_its_answer_and_names_the_job(
    way: str, platform: RunPodStandIn, example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main(command_line(way, "http://example.com/video.mp4"))
    printed = capsys.readouterr().out
    assert f"submitted as {platform.jobs[-1].id}\n" in printed
    if way == "cancel":
        assert printed.endswith("the job ended as COMPLETED\n")
    else:
        assert "partial: 50% of 120.0 s seen in 2 chunks\n[0.0-60.0 s] a red square\n" in printed
        assert "merged answer:\nfirst red, asked ['prompt', 'top_p', 'video_url']\n" in printed


@pytest.mark.parametrize("way", ["sync", "poll", "async", "errors", "cancel", "batch"])
def test_every_field_of_a_job_can_be_given(
    way: str, platform: RunPodStandIn, example: ModuleType, tmp_path: Path
) -> None:
    options = every_option(tmp_path)
    given = FIELDS_GIVEN | {"video_url": "http://example.com/video.mp4"}
    example.main([*command_line(way, "http://example.com/video.mp4"), *options])
    one = platform.jobs[-1].input
    assert one == given | {"stop": ["END"], "prompt": "What is red?"}
    example.main([*command_line(way, "http://example.com/video.mp4"), *options, "--stop=.", "--prompt=When?"])
    several = platform.jobs[-1].input
    assert several == given | {"stop": ["END", "."], "prompts": ["What is red?", "When?"]}
    assert one.keys() | several.keys() == FIELDS.keys()


@pytest.mark.parametrize(("written", "reason"), [(None, "cannot be read: No such file"), ("{", "is not JSON: ")])
def test_a_schema_that_is_no_json_file_is_one_sentence(
    written: str | None, reason: str, example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = tmp_path / "schema.json"
    if written is not None:
        schema.write_text(written)
    with pytest.raises(SystemExit):
        example.main([*command_line("poll", "http://example.com/video.mp4"), "--response-schema", str(schema)])
    assert f"argument --response-schema: {schema} {reason}" in capsys.readouterr().err.splitlines()[-1]


SPAN = {"start_s": 21.2, "end_s": 44.2, "chunk": 1, "confidence": 0.93}
CHAPTER = {"start_s": 0.0, "end_s": 44.2, "title": "Rain"}


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ([SPAN], ["  21.2-44.2 s  (chunk 2, confidence 0.93)"]),
        ([SPAN | {"description": "It rains."}], ["  21.2-44.2 s  It rains.  (chunk 2, confidence 0.93)"]),
        ([CHAPTER, CHAPTER], ["  0.0-44.2 s  Rain", "  0.0-44.2 s  Rain"]),
        ([], ["nothing"]),
        ([{"dogs": 2}], ["[", "  {", '    "dogs": 2', "  }", "]"]),
        ([SPAN | {"dogs": 2}, 3], json.dumps([SPAN | {"dogs": 2}, 3], indent=2).splitlines()),
        (False, ["false"]),
    ],
)
def test_answers_in_every_form_are_printed(
    value: Any, lines: list[str], example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    chunk = {"start_s": 0.0, "end_s": 60.0, "text": None, "value": value, "error": None}
    example.print_result({"chunk_results": [chunk] * 2, "aggregated_response": value, "aggregation_error": None})
    answer = "\n".join(lines)
    space = "\n" if answer.startswith("  ") else " "
    assert capsys.readouterr().out == f"[0.0-60.0 s]{space}{answer}\n" * 2 + f"merged answer:\n{answer}\n"


def test_each_of_several_questions_is_printed_with_its_answers(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [{**ANSWER, "prompt": prompt} for prompt in ("When?", "Where?")]
    job = {**ANSWER, "chunk_results": [], "aggregated_response": None, "results": results, "concessions": ["fewer"]}
    example.print_answer(job)
    heading, when, where = capsys.readouterr().out.split("-- question ")
    assert heading == "partial: 50% of 120.0 s seen in 2 chunks\n"
    assert when.startswith("1, partial: When?\n[0.0-60.0 s] a red square\n[60.0-120.0 s] GONE: x\nmerged answer:\n")
    assert where.startswith("2, partial: Where?\n[0.0-60.0 s] a red square\n")
    assert where.endswith(
        "note: fewer\ntook 1.5 s (chunks 1.5)\ngpu: not known; gpu seconds: 1.5; usd: not known; "
        "prompt tokens: 10; completion tokens: 2; cached tokens: 0\n"
    )


@pytest.mark.parametrize("way", ["sync", "poll", "async", "errors"])
def test_an_estimate_is_printed(
    way: str,
    example: ModuleType,
    platform: RunPodStandIn,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example.main([*command_line(way, "http://example.com/estimate.mp4"), "--estimate"])
    assert platform.jobs[-1].input["estimate"] is True
    printed = capsys.readouterr().out
    assert "nothing was asked: this is an estimate for 120.0 s in 2 chunks\n" in printed
    assert "seconds: 77.1; usd: not known; frames: 7200\ntook 1.5 s (chunks 1.5)\n" in printed


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("sync", "FAILED: UNREADABLE_VIDEO: no video stream"),
        ("poll", "FAILED: UNREADABLE_VIDEO: no video stream"),
        ("async", "FAILED: UNREADABLE_VIDEO: no video stream"),
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
    monkeypatch.setattr(example, "time", SimpleNamespace(sleep=on_sleep, monotonic=time.monotonic))
    example.main(command_line("poll", f"http://127.0.0.1:{gate.port}/gated.mp4"))
    assert lines[0].endswith(" 50%  infer  1 of 2 chunks  chunk 1\n")


def test_the_example_cancels_a_job_that_takes_too_long(
    platform: RunPodStandIn, example: ModuleType, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main([*command_line("cancel", f"http://127.0.0.1:{gate.port}/gated.mp4"), "--patience-s", "0"])
    assert capsys.readouterr().out.endswith("the job ended as CANCELLED\n")
    assert platform.jobs[-1].results == []


def test_the_example_reports_each_video_of_a_batch(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1 of 2 videos were not answered"):
        example.main(command_line("batch", "http://example.com/video.mp4", "http://example.com/broken.mp4"))
    reports = dict(report.split("\n", 1) for report in capsys.readouterr().out.split("== ")[1:])
    assert reports["http://example.com/video.mp4"].startswith("partial: 50%")
    assert reports["http://example.com/broken.mp4"] == "FAILED: UNREADABLE_VIDEO: no video stream\n"


def test_a_batch_prints_an_answer_while_another_job_still_runs(
    platform: RunPodStandIn,
    example: ModuleType,
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def on_sleep(_: float) -> None:
        printed.append(capsys.readouterr().out)
        gated, quick = platform.jobs[-2:]
        if "== http://example.com/video.mp4" in "".join(printed):
            gate.wait_for_job()
            gate.open()
            platform.wait_for_status(gated.id)
        else:
            platform.wait_for_status(quick.id)

    printed: list[str] = []
    monkeypatch.setattr(example, "time", SimpleNamespace(sleep=on_sleep, monotonic=time.monotonic))
    example.main(command_line("batch", f"http://127.0.0.1:{gate.port}/gated.mp4", "http://example.com/video.mp4"))
    assert f"== http://127.0.0.1:{gate.port}/gated.mp4" in capsys.readouterr().out


WAYS = ["sync", "poll", "async", "errors", "cancel", "batch"]


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_api_key_is_named_as_the_cause(way: str, example: ModuleType) -> None:
    with pytest.raises(SystemExit, match="the API key was refused; check RUNPOD_API_KEY"):
        example.main([*command_line(way, "http://example.com/video.mp4"), "--api-key", "wrong"])


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_endpoint_is_named_as_the_cause(
    way: str, example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        example.main([*command_line(way, "http://example.com/video.mp4"), "--endpoint-id", "wrong"])
    assert "not found; check RUNPOD_ENDPOINT_ID" in f"{ended.value}{capsys.readouterr().out}"


@pytest.mark.parametrize("way", WAYS)
def test_a_platform_that_cannot_be_reached_is_one_sentence(
    way: str, example: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(example, "Retry", lambda **_: 0)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SystemExit) as ended:
        example.main([*command_line(way, "http://example.com/video.mp4"), "--base-url", f"http://127.0.0.1:{port}/v2"])
    assert "the platform cannot be reached" in f"{ended.value}{capsys.readouterr().out}"


def test_the_attempts_to_reach_a_platform_are_not_logged(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(example, "Retry", lambda **_: 1)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SystemExit):
        example.main([*command_line("poll", "http://host/v.mp4"), "--base-url", f"http://127.0.0.1:{port}/v2"])
    assert not caplog.records


def test_before_the_video_is_read_no_number_of_chunks_is_shown(example: ModuleType) -> None:
    progress = {"stage": "load", "fraction": 0.12, "chunks_done": 0, "num_chunks": 0, "message": "loading the model"}
    assert example.progress_line({"status": "IN_PROGRESS", "output": progress}) == " 12%  load  loading the model"


@pytest.fixture
def failing_platform(platform: RunPodStandIn) -> Iterator[tuple[str, list[int]]]:
    """The platform behind a gateway that answers the next requests for a job's state with statuses from a list."""
    statuses: list[int] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if "/status/" in self.path and statuses:
                self.reply(statuses.pop(0), b"<html>Bad gateway</html>", "text/html")
            else:
                self.forward(requests.get(self.target(), headers=self.key(), timeout=10))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.forward(requests.post(self.target(), body, headers=self.key(), timeout=10))

        def target(self) -> str:
            return platform.url.removesuffix("/v2") + self.path

        def key(self) -> dict[str, str]:
            return {"Authorization": self.headers["Authorization"]}

        def forward(self, response: requests.Response) -> None:
            self.reply(response.status_code, response.content, "application/json")

        def reply(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v2", statuses
        server.shutdown()


@pytest.mark.parametrize("way", WAYS)
def test_a_platform_that_fails_for_a_while_does_not_lose_the_answer(
    way: str,
    failing_platform: tuple[str, list[int]],
    example: ModuleType,
    platform: RunPodStandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(platform._routes, "_runsync_hold_s", 0.0)  # the answer takes longer than the call is held
    base_url, statuses = failing_platform
    statuses += [502, 503, 500, 502, 504, 502, 500]
    example.main([*command_line(way, "http://example.com/video.mp4"), "--base-url", base_url])
    printed = capsys.readouterr().out
    assert statuses == []
    assert "the platform does not tell the job's state (the platform answered with HTTP status 50" in printed
    assert ("ended as COMPLETED" if way == "cancel" else "a red square") in printed


@pytest.mark.parametrize("way", WAYS)
def test_a_platform_that_fails_for_long_ends_with_the_jobs_id(
    way: str,
    failing_platform: tuple[str, list[int]],
    example: ModuleType,
    platform: RunPodStandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(platform._routes, "_runsync_hold_s", 0.0)
    base_url, statuses = failing_platform
    statuses += [500] * 20
    monkeypatch.setattr(example, "OUTAGE_S", 0.0)
    with pytest.raises(SystemExit) as ended:
        example.main([*command_line(way, "http://example.com/video.mp4"), "--base-url", base_url])
    reason = f"the state of the job {platform.jobs[-1].id} is unknown, and it may still run"
    assert reason in f"{ended.value}{capsys.readouterr().out}"


def test_requests_are_tried_again_over_https_too(example: ModuleType) -> None:
    session = example.make_endpoint("endpoint", "key").rp_client.rp_session
    for url in ("http://host/", "https://host/"):
        retries = session.get_adapter(url).max_retries
        assert 502 in retries.status_forcelist
        assert retries.allowed_methods == ("GET",)  # a job must not be submitted twice


@pytest.mark.parametrize("columns", [60, 100])
@pytest.mark.parametrize("script", [["example_usage.py"], ["example_usage.py", "poll"], ["test_local.py"]])
def test_the_help_fits_the_terminal(script: list[str], columns: int) -> None:
    command = [sys.executable, "-I", "-S", *script, "--help"]
    environment = os.environ | {"COLUMNS": str(columns)}
    root = Path(__file__).parents[1]
    printed = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True).stdout
    assert max(map(len, printed.splitlines())) <= columns
