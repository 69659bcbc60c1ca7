"""The worker as RunPod starts it: `python src/handler.py`, the real SDK and the real engine, on loopback.

The worker that most tests share is ended by the test of SIGTERM, which therefore stands behind them.
"""

import functools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import runpod

from api.output import ChunkOutput, JobOutput
from canary import CANARY
from clips import ffmpeg
from jobs import QUESTION, job_input
from media_server import Exchange, MediaServer, dripping
from tiny_model.environment import environment
from worker_process import COMMAND, ROOT, START_TIMEOUT_S, Worker, running_worker

EXIT_TIMEOUT_S = 60.0
"""Of a worker on a busy machine; polls of the SDK would hold it for up to 90 s."""
MAX_CONCURRENT_JOBS = 4
"""As config.yaml has it."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def worker_settings(media_root: Path) -> dict[str, str]:
    return environment() | {
        "VIDEO_ROOTS": str(media_root),
        "DOWNLOAD_ALLOW_PRIVATE": "127.0.0.1",
        "HF_TOKEN": f"hf_{CANARY}",
        "AWS_SECRET_ACCESS_KEY": CANARY,
        "MAX_CHUNKS_IN_FLIGHT": "2",  # so that a decoder is mostly waiting, and there to be killed
    }


@pytest.fixture(scope="module")
def worker(worker_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with running_worker(worker_settings, tmp_path_factory.mktemp("worker")) as started:
        yield started


@pytest.fixture(scope="module")
def two_minutes(media_root: Path) -> Path:
    """A clip of so many chunks of a second that a job on it can be interrupted."""
    path = media_root / f"two_minutes_{CANARY}.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=10:duration=120", "-pix_fmt", "yuv420p", path)
    return path


@pytest.fixture
def endpoint(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> runpod.Endpoint:
    monkeypatch.setattr(runpod, "endpoint_url_base", worker.platform.url)
    return runpod.Endpoint(worker.platform.endpoint_id, api_key=worker.platform.api_key)


def assert_documented(output: dict[str, Any], num_chunks: int) -> None:
    assert output.keys() == JobOutput.model_fields.keys()
    assert (output["success"], output["status"], output["coverage"]) == (True, "complete", 1)
    assert (output["num_chunks"], len(output["chunk_results"])) == (num_chunks, num_chunks)
    assert all(chunk.keys() == ChunkOutput.model_fields.keys() and chunk["text"] for chunk in output["chunk_results"])
    assert output["video_info"]["duration"] == 12
    assert output["aggregated_response"]
    assert output["usage"]["completion_tokens"] > 0
    assert {"download_s", "chunks_s", "synthesis_s"} <= output["timings"].keys()


def test_a_job_is_answered_as_documented_and_shows_its_progress_until_then(
    worker: Worker, endpoint: runpod.Endpoint, twelve_seconds: Path
) -> None:
    job = endpoint.run(job_input(twelve_seconds, chunk_duration=1.0, max_tokens=100))
    record = worker.platform.job(job.job_id)
    fractions: list[float] = []
    while not record.is_over:
        seen = len(record.progress)
        news = functools.partial(lambda seen: record.is_over or len(record.progress) > seen, seen)
        worker.platform.wait_until(news, START_TIMEOUT_S, "progress or the result")
        state = endpoint.rp_client.get(f"{worker.platform.endpoint_id}/status/{job.job_id}")
        if state["status"] == "IN_PROGRESS":
            fractions.append(state["output"]["fraction"])
    assert fractions == sorted(fractions)
    assert fractions[0] == 0  # how many follow depends on how long the job takes
    assert job.status() == "COMPLETED"
    assert_documented(job.output(), num_chunks=12)
    assert len(record.results) == 1


def test_run_sync_gives_the_same_output(endpoint: runpod.Endpoint, worker: Worker, twelve_seconds: Path) -> None:
    output = endpoint.run_sync(job_input(twelve_seconds))
    assert_documented(output, num_chunks=3)
    assert worker.platform.jobs[-1].results == [{"output": output}]


def test_jobs_run_at_the_same_time_on_one_engine(
    endpoint: runpod.Endpoint, worker: Worker, server: MediaServer, twelve_seconds: Path
) -> None:
    """Each source is sent only when all of them have been asked for."""
    all_running = threading.Barrier(3)
    content = twelve_seconds.read_bytes()

    def answer(exchange: Exchange) -> None:
        all_running.wait(START_TIMEOUT_S)
        exchange.send(content, Content_Length=str(len(content)))

    jobs = [endpoint.run(job_input(server.answer(answer))) for _ in range(3)]
    records = [worker.platform.wait_for_status(job.job_id, timeout_s=START_TIMEOUT_S) for job in jobs]
    for record in records:
        assert_documented(record.output, num_chunks=3)
    assert len(worker.descendants("EngineCore")) == 1


def test_jobs_beyond_those_that_may_run_wait_at_the_platform(
    worker: Worker, server: MediaServer, twelve_seconds: Path
) -> None:
    asked, proceed = threading.Semaphore(0), threading.Event()
    content = twelve_seconds.read_bytes()

    def answer(exchange: Exchange) -> None:
        asked.release()
        proceed.wait(START_TIMEOUT_S)
        exchange.send(content, Content_Length=str(len(content)))

    url = server.answer(answer)
    jobs = [worker.platform.submit(job_input(url)) for _ in range(2 * MAX_CONCURRENT_JOBS)]
    assert all(asked.acquire(timeout=START_TIMEOUT_S) for _ in range(MAX_CONCURRENT_JOBS))
    worker.wait_for_ping(jobs[MAX_CONCURRENT_JOBS - 1], running=True)
    assert [job.status for job in jobs].count("IN_PROGRESS") == MAX_CONCURRENT_JOBS
    proceed.set()
    for job in jobs:
        assert_documented(worker.platform.wait_for_status(job.id, timeout_s=START_TIMEOUT_S).output, num_chunks=3)


@pytest.mark.parametrize(
    ("video", "fields", "error"),
    [
        ("missing.mp4", {}, "SOURCE_NOT_FOUND: "),
        ("/etc/passwd", {}, "URL_INVALID: "),
        ("missing.mp4", {"best_of": 5}, "INVALID_INPUT: best_of is unknown"),
        ("missing.mp4", {"prompt": 7}, "INVALID_INPUT: prompt must be a string."),
        (f"http://user:{CANARY}@127.0.0.1/?sig={CANARY}", {}, "URL_INVALID: "),
        (f"http://127.0.0.2/?sig={CANARY}#{CANARY}", {"prompt": CANARY}, "URL_BLOCKED: "),
    ],
)
def test_a_job_that_cannot_be_done_fails_with_a_code_and_a_sentence(
    video: str, fields: dict[str, object], error: str, endpoint: runpod.Endpoint, worker: Worker, media_root: Path
) -> None:
    job = endpoint.run(job_input(video if "://" in video else media_root / video, **fields))
    record = worker.platform.wait_for_status(job.job_id, "FAILED", timeout_s=START_TIMEOUT_S)
    assert record.results == [{"error": record.error}]
    assert record.error is not None
    assert record.error.startswith(error)
    assert re.fullmatch(r"[A-Z_]+: [^\n/]+", record.error)


def test_a_cancelled_job_ends_its_decoder_and_its_files_and_the_next_job_is_answered(
    worker: Worker, endpoint: runpod.Endpoint, server: MediaServer, two_minutes: Path, twelve_seconds: Path
) -> None:
    job = worker.run_until_decoding(f"{server.serve(two_minutes)}?signature={CANARY}")
    assert not worker.descendants(CANARY)
    worker.wait_for_ping(job, running=True)
    decoders = worker.descendants("decoder.decode")
    assert len(decoders) == 1
    assert [path.name for path in worker.work_dir.glob("*/*")] == ["source"]
    worker.platform.cancel(job.id)
    worker.wait_for_ping(job, running=False)
    assert not any(decoder.is_running() for decoder in decoders)
    assert list(worker.work_dir.iterdir()) == []
    assert_documented(endpoint.run_sync(job_input(twelve_seconds)), num_chunks=3)
    assert (job.status, job.results) == ("CANCELLED", [])


@pytest.mark.parametrize("way", ["sync", "poll"])
def test_the_example_script_gets_its_answer_from_the_worker(way: str, worker: Worker, twelve_seconds: Path) -> None:
    command = [sys.executable, "example_usage.py", way, "--video-url", str(twelve_seconds), "--prompt", QUESTION]
    options = ["--max-tokens", "8", "--chunk-duration", "4", "--interval-s", "0.1"]
    settings = os.environ | worker.platform.client_environment()
    run = subprocess.run([*command, *options], cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "complete: 100% of 12.0 s seen in 3 chunks\n[0.0-4.0 s] " in run.stdout


def test_sigterm_lets_the_running_job_finish_and_ends_the_worker_without_a_trace(
    worker: Worker, two_minutes: Path
) -> None:
    job = worker.run_until_decoding(two_minutes)
    descendants = worker.descendants()
    assert not worker.descendants(CANARY)
    worker.process.terminate()
    worker.platform.wait_for_status(job.id, "COMPLETED", timeout_s=START_TIMEOUT_S)
    assert worker.process.wait(EXIT_TIMEOUT_S) == 0
    assert psutil.wait_procs(descendants, timeout=EXIT_TIMEOUT_S)[1] == []
    assert [record.id for record in worker.platform.jobs if record.late or len(record.results) > 1] == []
    log = worker.log.read_text()
    assert "Traceback" not in log
    assert QUESTION not in log


def test_a_worker_removes_the_files_that_a_killed_one_left(worker_settings: dict[str, str], tmp_path: Path) -> None:
    with MediaServer() as server, running_worker(worker_settings, tmp_path) as worker:
        worker.platform.submit(job_input(server.answer(dripping(b"", b""))))
        worker.platform.wait_until(lambda: any(worker.work_dir.glob("job-*")), what="a job at work")
        descendants = worker.descendants()
        worker.process.kill()
        worker.process.wait()
        assert list(worker.work_dir.iterdir())
        for process in descendants:  # in a container, the end of the worker is theirs too
            process.kill()
    with running_worker(worker_settings, tmp_path) as worker:
        assert list(worker.work_dir.iterdir()) == []


@pytest.fixture(scope="module")
def local_run(
    worker_settings: dict[str, str], twelve_seconds: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen[str]]:
    """A job without a platform, begun."""
    settings = worker_settings | {"WORK_DIR": str(tmp_path_factory.mktemp("local"))}
    with started_locally(job_input(twelve_seconds), settings) as process:
        yield process


@pytest.mark.usefixtures("local_run")  # both load the model at the same time
def test_a_dead_engine_fails_its_jobs_and_ends_the_worker(
    worker_settings: dict[str, str], tmp_path: Path, two_minutes: Path
) -> None:
    with running_worker(worker_settings, tmp_path) as worker:
        job = worker.run_until_decoding(two_minutes)
        descendants = worker.descendants()
        (engine,) = worker.descendants("EngineCore")
        killed_s = time.monotonic()
        engine.kill()
        worker.platform.wait_for_status(job.id, "FAILED")
        assert job.error is not None
        assert job.error.startswith("ENGINE_DEAD: ")
        assert job.stop_pod
        assert worker.process.wait(EXIT_TIMEOUT_S) == 1
        assert time.monotonic() - killed_s < EXIT_TIMEOUT_S
        assert psutil.wait_procs(descendants, timeout=EXIT_TIMEOUT_S)[1] == []
        assert job.late == []


def test_a_local_run_prints_the_result_and_leaves_no_process_behind(local_run: subprocess.Popen[str]) -> None:
    # The output ends when the last process that could write to it has.
    stdout, stderr = local_run.communicate(timeout=START_TIMEOUT_S)
    assert local_run.returncode == 0
    assert json.loads(stdout)["aggregated_response"]  # nothing but the result is on stdout
    assert "Traceback" not in stderr
    assert CANARY not in stdout + stderr


def test_a_local_run_with_a_bad_input_names_the_fault(worker_settings: dict[str, str]) -> None:
    with started_locally({"video_url": "https://example.com/video.mp4"}, worker_settings) as process:
        stdout, stderr = process.communicate(timeout=START_TIMEOUT_S)
    assert process.returncode == 1
    assert json.loads(stdout)["error"].startswith("INVALID_INPUT: prompt is missing.")
    assert "Traceback" not in stderr


def test_the_error_of_a_local_run_is_not_followed_by_what_a_loading_model_says(
    worker_settings: dict[str, str], unanswering_port: int
) -> None:
    hub = {"HF_ENDPOINT": f"http://127.0.0.1:{unanswering_port}", "HF_HUB_OFFLINE": "0", "MODEL_NAME": "some/model"}
    with started_locally(job_input("http://no-such-host.invalid/v.mp4"), worker_settings | hub) as process:
        stdout, stderr = process.communicate(timeout=START_TIMEOUT_S)
    assert process.returncode == 1
    assert json.loads(stdout)["error"].startswith("DOWNLOAD_FAILED: ")
    assert "the job failed: DOWNLOAD_FAILED" in stderr.splitlines()[-1]
    assert "the engine did not start" not in stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--test_input", "{video_url: x}"], "--test_input is not JSON: "),
        (["--test_input", "[]"], "--test_input must be a JSON object"),
    ],
)
def test_a_local_run_whose_input_cannot_be_read_is_refused_in_one_sentence(arguments: list[str], sentence: str) -> None:
    finished = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout, len(finished.stderr.splitlines())) == (1, "", 1)
    assert finished.stderr.startswith(sentence)


@pytest.mark.parametrize("option", [["--check"], []], ids=["check", "serve"])
def test_wrong_settings_are_one_sentence_and_no_traceback(option: list[str]) -> None:
    environment_now = os.environ | {"CHUNK_OVERLAP": "-4"}
    finished = subprocess.run([*COMMAND, *option], env=environment_now, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == "The settings are wrong: CHUNK_OVERLAP must be at least 0.0.\n"


@contextmanager
def started_locally(test_input: dict[str, object], settings: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "--test_input", json.dumps({"input": test_input})]
    with subprocess.Popen(
        command, env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()
