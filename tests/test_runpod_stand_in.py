"""The stand-in for RunPod's platform, held against the real SDK: its worker loop in a process, its clients here."""

import asyncio
import importlib.util
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import aiohttp
import pytest
import requests
import runpod
import runpod_stand_in
from runpod_stand_in import RunPodStandIn

TIMEOUT_S = 15.0

WORKER = '''
"""Does what a job's input says; a job with a gate stays in its handler until the test opens it."""
import asyncio
import sys
from urllib.parse import urlsplit

import runpod

PROGRESS = {"stage": "infer", "message": "chunk 1", "fraction": 0.5, "chunks_done": 1, "num_chunks": 2}
CHUNK = {"index": 0, "start_s": 0.0, "end_s": 60.0, "text": "a red square", "error": None}
ANSWER = {
    "success": True,
    "status": "partial",
    "coverage": 0.5,
    "video_info": {"duration": 120.0, "fps": 30.0},
    "num_chunks": 2,
    "chunk_results": [CHUNK, {**CHUNK, "index": 1, "start_s": 60.0, "end_s": 120.0, "text": None, "error": "GONE: x"}],
    "aggregated_response": "first red",
    "total_processing_time": 1.5,
    "timings": {},
    "usage": {"prompt_tokens": 10},
}


async def pass_gate(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"inside")
        await reader.read()
    except asyncio.CancelledError:
        writer.write(b"cancelled")
        await writer.drain()
        raise
    finally:
        writer.close()


async def answer_video(job):
    url = urlsplit(job["input"]["video_url"])
    if url.path == "/broken.mp4":
        return {"error": "UNREADABLE_VIDEO: no video stream"}
    if url.path == "/gated.mp4":
        runpod.serverless.progress_update(job, PROGRESS)
        await pass_gate(url.port)
    return {**ANSWER, "aggregated_response": f"first red, asked {sorted(job['input'])}"}


async def handler(job):
    order = job["input"]
    if "video_url" in order:
        return await answer_video(job)
    if "progress" in order:
        runpod.serverless.progress_update(job, order["progress"])
    if "gate" in order:
        await pass_gate(order["gate"])
    if "raises" in order:
        raise RuntimeError(order["raises"])
    return dict(order["returns"])


async def generator(job):
    yield "before the gate"
    await pass_gate(job["input"]["gate"])
    yield "behind the gate"


if __name__ == "__main__":
    handler = generator if sys.argv[1:] == ["generator"] else handler
    runpod.serverless.start({"handler": handler, "concurrency_modifier": lambda current: 3})
'''


class Gate:
    """Where jobs wait in their handler. Each job that arrives is one connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_S)
        self.port: int = self._listener.getsockname()[1]
        self._inside: list[socket.socket] = []

    def wait_for_job(self) -> socket.socket:
        inside, _ = self._listener.accept()
        inside.settimeout(TIMEOUT_S)
        assert inside.recv(6) == b"inside"
        self._inside.append(inside)
        return inside

    def open(self) -> None:
        """Let out every job that has arrived."""
        for inside in self._inside:
            inside.close()
        self._inside.clear()

    def close(self) -> None:
        self.open()
        self._listener.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.close()


@pytest.fixture(scope="module")
def worker_command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    script = tmp_path_factory.mktemp("worker") / "worker.py"
    script.write_text(WORKER)
    return [sys.executable, str(script)]


@pytest.fixture(scope="module")
def platform(worker_command: list[str]) -> Iterator[RunPodStandIn]:
    """The platform with one worker attached that runs three jobs at once.

    Three and not two: the SDK counts a job that it has not begun twice, so that a worker for two takes one a second.
    """
    with RunPodStandIn() as made, made.worker_process(worker_command, environment={"RUNPOD_LOG_LEVEL": "ERROR"}):
        made.wait_for_take()
        yield made


@pytest.fixture
def endpoint(platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch) -> runpod.Endpoint:
    return client_of(platform, monkeypatch)


def client_of(platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch) -> runpod.Endpoint:
    monkeypatch.setattr(runpod, "endpoint_url_base", platform.url)
    return runpod.Endpoint(platform.endpoint_id, api_key=platform.api_key)


def test_a_job_goes_through_run_to_completed_with_its_output_and_its_times(
    platform: RunPodStandIn, endpoint: runpod.Endpoint
) -> None:
    job = endpoint.run({"returns": {"answer": "élan"}})
    record = platform.wait_for_status(job.job_id, "COMPLETED")
    state = endpoint.rp_client.get(f"{platform.endpoint_id}/status/{job.job_id}")
    times_ms = [state.pop("delayTime"), state.pop("executionTime")]
    assert all(isinstance(time_ms, int) and 0 <= time_ms < TIMEOUT_S * 1000 for time_ms in times_ms)
    assert state == {
        "id": job.job_id,
        "status": "COMPLETED",
        "workerId": "worker-1",
        "output": {"answer": "élan"},
    }
    assert (job.status(), job.output()) == ("COMPLETED", {"answer": "élan"})
    assert record.raw_bodies == ['{"output": {"answer": "élan"}}'.encode()]


def test_run_sync_returns_the_output(endpoint: runpod.Endpoint) -> None:
    assert endpoint.run_sync({"returns": {"answer": 1}}) == {"answer": 1}


def test_runsync_gives_up_the_wait_and_not_the_job(platform: RunPodStandIn, gate: Gate) -> None:
    submitted = requests.post(
        f"{platform.url}/{platform.endpoint_id}/runsync?wait=1",  # RunPod's least is 1000 ms
        json={"input": {"gate": gate.port, "returns": {"answer": 2}}},
        headers={"Authorization": f"Bearer {platform.api_key}"},
        timeout=TIMEOUT_S,
    )
    assert submitted.json()["status"] == "IN_PROGRESS"
    assert submitted.elapsed.total_seconds() >= 1
    gate.wait_for_job()
    gate.open()
    assert platform.wait_for_status(submitted.json()["id"], "COMPLETED").output == {"answer": 2}


def test_the_latest_progress_is_the_output_until_the_result_replaces_it(
    platform: RunPodStandIn, endpoint: runpod.Endpoint, gate: Gate
) -> None:
    job = endpoint.run({"progress": {"fraction": 0.5}, "gate": gate.port, "returns": {"answer": 3}})
    record = platform.job(job.job_id)
    platform.wait_until(lambda: record.progress, what="a progress update")
    assert (job.status(), job.output()) == ("IN_PROGRESS", {"fraction": 0.5})
    gate.wait_for_job()
    gate.open()
    platform.wait_for_status(job.job_id, "COMPLETED")
    assert job.output() == {"answer": 3}
    assert [update.body for update in record.progress] == [{"fraction": 0.5}]
    assert len(record.results) == 1


def test_a_returned_error_fails_the_job_with_that_string(platform: RunPodStandIn, endpoint: runpod.Endpoint) -> None:
    job = endpoint.run({"returns": {"error": "INVALID_INPUT: no prompt"}})
    platform.wait_for_status(job.job_id, "FAILED")
    state = endpoint.rp_client.get(f"{platform.endpoint_id}/status/{job.job_id}")
    assert state["error"] == "INVALID_INPUT: no prompt"
    assert "output" not in state


def test_run_sync_returns_none_for_a_failed_job(endpoint: runpod.Endpoint) -> None:
    assert endpoint.run_sync({"returns": {"error": "INVALID_INPUT: no prompt"}}) is None


def test_an_exception_that_escapes_the_handler_fails_the_job_and_shows_its_traceback(
    platform: RunPodStandIn, endpoint: runpod.Endpoint
) -> None:
    job = endpoint.run({"raises": "secret"})
    record = platform.wait_for_status(job.job_id, "FAILED")
    assert "Traceback" in (record.error or "")


def test_an_error_that_is_no_string_is_lost(platform: RunPodStandIn, endpoint: runpod.Endpoint) -> None:
    """The stand-in shows the user's view of runpod-python#299: COMPLETED, and nothing else."""
    job = endpoint.run({"returns": {"error": {"code": "INVALID_INPUT"}}})
    platform.wait_for_status(job.job_id)
    state = endpoint.rp_client.get(f"{platform.endpoint_id}/status/{job.job_id}")
    assert state["status"] == "COMPLETED"
    assert not {"output", "error"} & state.keys()


def test_a_result_can_ask_for_a_new_worker(platform: RunPodStandIn, endpoint: runpod.Endpoint) -> None:
    job = endpoint.run({"returns": {"error": "ENGINE_DEAD: gone", "refresh_worker": True}})
    assert platform.wait_for_status(job.job_id, "FAILED").stop_pod
    job = endpoint.run({"returns": {"answer": 4}})
    assert not platform.wait_for_status(job.job_id, "COMPLETED").stop_pod


def test_cancel_reaches_the_coroutine_and_its_sibling_goes_on(
    platform: RunPodStandIn, endpoint: runpod.Endpoint, gate: Gate
) -> None:
    job = endpoint.run({"gate": gate.port, "returns": {}})
    inside = gate.wait_for_job()
    sibling = endpoint.run({"gate": gate.port, "returns": {"answer": 5}})
    gate.wait_for_job()
    assert job.cancel() == {"id": job.job_id, "status": "CANCELLED"}
    assert inside.recv(100) == b"cancelled"
    gate.open()
    assert platform.wait_for_status(sibling.job_id, "COMPLETED").output == {"answer": 5}
    cancelled = platform.job(job.job_id)
    assert (cancelled.status, cancelled.results, cancelled.late) == ("CANCELLED", [], [])


def test_an_execution_timeout_stops_the_job_on_the_worker(
    platform: RunPodStandIn, endpoint: runpod.Endpoint, gate: Gate
) -> None:
    job = endpoint.run({"input": {"gate": gate.port, "returns": {}}, "policy": {"executionTimeout": 1000}})
    assert gate.wait_for_job().recv(100) == b"cancelled"
    assert platform.job(job.job_id).status == job.status() == "TIMED_OUT"


def test_three_jobs_run_at_once_and_more_wait_until_they_are_cancelled_or_purged(
    platform: RunPodStandIn, endpoint: runpod.Endpoint, gate: Gate
) -> None:
    running = [endpoint.run({"gate": gate.port, "returns": {}}) for _ in range(3)]
    for _ in running:
        gate.wait_for_job()
    cancelled, purged = (endpoint.run({"returns": {}}) for _ in range(2))
    health = endpoint.health()
    assert (health["jobs"]["inProgress"], health["jobs"]["inQueue"]) == (3, 2)
    assert (health["workers"]["running"], health["workers"]["idle"]) == (1, 0)
    cancelled.cancel()
    assert endpoint.purge_queue() == {"removed": 1, "status": "completed"}
    gate.open()
    assert {platform.wait_for_status(job.job_id).status for job in running} == {"COMPLETED"}
    assert {(job.status(), platform.job(job.job_id).taken_s) for job in (cancelled, purged)} == {("CANCELLED", None)}


def test_the_asyncio_client_runs_and_cancels(
    platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    monkeypatch.setattr(runpod, "endpoint_url_base", platform.url)

    async def talk() -> tuple[Any, str]:
        async with aiohttp.ClientSession() as session:
            endpoint = runpod.AsyncioEndpoint(platform.endpoint_id, session, api_key=platform.api_key)
            answered = await endpoint.run({"returns": {"answer": 6}})
            await asyncio.to_thread(platform.wait_for_status, answered.job_id)
            stopped = await endpoint.run({"gate": gate.port, "returns": {}})
            inside = await asyncio.to_thread(gate.wait_for_job)
            await stopped.cancel()
            assert await asyncio.to_thread(inside.recv, 100) == b"cancelled"
            return await answered.output(timeout=5), await stopped.status()

    assert asyncio.run(talk()) == ({"answer": 6}, "CANCELLED")


def test_a_wrong_api_key_is_refused(platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runpod, "endpoint_url_base", platform.url)
    stranger = runpod.Endpoint(platform.endpoint_id, api_key="wrong")
    with pytest.raises(RuntimeError, match="401"):
        stranger.run({"returns": {}})


def test_an_idle_worker_keeps_one_poll_open(platform: RunPodStandIn) -> None:
    """An answer that came at once would have the SDK ask again without a pause; pings are the clock here."""
    worker = platform.worker()
    platform.wait_until(lambda: worker.polling == 1, what="an idle worker")
    takes = worker.takes
    platform.wait_for_ping()
    assert (worker.polling, worker.takes) == (1, takes)


def test_what_arrives_after_the_result_is_recorded_and_changes_nothing(platform: RunPodStandIn) -> None:
    job = platform.submit({"returns": {"answer": 7}})
    platform.wait_for_status(job.id, "COMPLETED")
    url = platform.worker_environment()["RUNPOD_WEBHOOK_POST_OUTPUT"]
    url = url.replace("$RUNPOD_POD_ID", "worker-1").replace("$ID", job.id)
    for body in ({"status": "IN_PROGRESS", "output": "late"}, {"output": "second result"}):
        requests.post(f"{url}&isStream=false", json=body, timeout=TIMEOUT_S).raise_for_status()
    assert (job.status, job.output, job.progress) == ("COMPLETED", {"answer": 7}, [])
    assert [arrival.body.get("output") for arrival in job.late] == ["late", "second result"]
    assert len(job.results) == 2


@pytest.mark.parametrize("body", [b'{"output": NaN}', b'{"output": ', b'"text"'])
def test_a_result_that_is_no_json_object_is_refused(platform: RunPodStandIn, gate: Gate, body: bytes) -> None:
    job = platform.submit({"gate": gate.port, "returns": {}})
    gate.wait_for_job()
    url = platform.worker_environment()["RUNPOD_WEBHOOK_POST_OUTPUT"].replace("$ID", job.id)
    assert requests.post(url, data=body, timeout=TIMEOUT_S).status_code == 400
    assert (job.status, job.malformed, job.results) == ("IN_PROGRESS", [body], [])
    gate.open()
    platform.wait_for_status(job.id, "COMPLETED")


def test_a_poll_that_was_given_up_takes_no_job() -> None:
    with RunPodStandIn() as platform:
        url = platform.worker_environment()["RUNPOD_WEBHOOK_GET_JOB"].replace("$ID", "worker-1")
        with pytest.raises(requests.ReadTimeout):
            requests.get(url, timeout=0.2)
        worker = platform.worker()
        platform.wait_until(lambda: worker.takes == 1 and worker.polling == 0, what="the poll to be dropped")
        job = platform.submit({"question": 1})
        assert requests.get(url, timeout=TIMEOUT_S).json() == {"id": job.id, "input": {"question": 1}}


def test_a_batch_is_taken_in_order_and_no_larger_than_asked_for() -> None:
    with RunPodStandIn() as platform:
        jobs = [platform.submit({"question": number}) for number in range(3)]
        url = platform.worker_environment()["RUNPOD_WEBHOOK_GET_JOB"].replace("$ID", "worker-1")
        url = url.replace("/job-take/", "/job-take-batch/") + "&batch_size=2"
        batches = [requests.get(url, timeout=TIMEOUT_S).json() for _ in range(2)]
        assert batches == [
            [{"id": job.id, "input": job.input} for job in jobs[:2]],
            [{"id": jobs[2].id, "input": jobs[2].input}],
        ]


def test_a_poll_for_stop_signals_is_held_until_there_is_one() -> None:
    with RunPodStandIn() as platform:
        take_url = platform.worker_environment()["RUNPOD_WEBHOOK_GET_JOB"].replace("$ID", "worker-1")
        stop_url = take_url.replace("/job-take/", "/job-stop/")
        with pytest.raises(requests.ReadTimeout):
            requests.get(stop_url, timeout=0.2)
        job = platform.submit({})
        requests.get(take_url, timeout=TIMEOUT_S).raise_for_status()
        platform.cancel(job.id)
        assert requests.get(stop_url, timeout=TIMEOUT_S).json() == {"jobsToStop": [job.id]}


def test_waiting_for_a_status_that_never_comes_says_where_the_job_stands() -> None:
    with RunPodStandIn() as platform:
        job = platform.submit({})
        with pytest.raises(TimeoutError, match=f"{job.id}.*IN_QUEUE"):
            platform.wait_for_status(job.id, "COMPLETED", timeout_s=0.01)


def test_sigterm_lets_a_running_job_finish_and_its_stream_reaches_the_client(
    worker_command: list[str], monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    with (
        RunPodStandIn() as platform,
        platform.worker_process([*worker_command, "generator"], environment={"RUNPOD_LOG_LEVEL": "ERROR"}) as process,
    ):
        job = client_of(platform, monkeypatch).run({"gate": gate.port})
        gate.wait_for_job()
        process.terminate()
        platform.retire()
        gate.open()
        record = platform.wait_for_status(job.job_id, "COMPLETED")
        assert process.wait(TIMEOUT_S) == 0
        assert list(job.stream()) == record.stream == ["before the gate", "behind the gate"]
        assert record.late == []


def test_the_command_line_prints_what_a_client_needs_and_ends_on_an_interrupt() -> None:
    command = [sys.executable, runpod_stand_in.__file__, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        exported: dict[str, str] = {}
        while "RUNPOD_ENDPOINT_BASE_URL" not in exported:
            words = shlex.split(process.stdout.readline(), comments=True)
            exported |= dict(word.split("=", 1) for word in words[1:])
        health = requests.get(
            f"{exported['RUNPOD_ENDPOINT_BASE_URL']}/{exported['RUNPOD_ENDPOINT_ID']}/health",
            headers={"Authorization": f"Bearer {exported['RUNPOD_API_KEY']}"},
            timeout=TIMEOUT_S,
        )
        assert health.json()["jobs"]["inQueue"] == 0
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0


@pytest.fixture
def example(platform: RunPodStandIn, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`example_usage.py`, attached to the platform by its environment."""
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


def command_of(way: str, *video_urls: str) -> list[str]:
    return [way, "--video-url", *video_urls, "--prompt", "What is red?", "--top-p", "0.5", "--interval-s", "0.01"]


@pytest.mark.parametrize("way", ["sync", "poll", "async", "errors", "cancel"])
def test_each_way_of_the_example_gets_its_answer(
    way: str, example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main(command_of(way, "http://example.com/video.mp4"))
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
def test_each_way_of_the_example_reports_a_failed_job(way: str, reason: str, example: ModuleType) -> None:
    with pytest.raises(SystemExit, match=reason):
        example.main(command_of(way, "http://example.com/broken.mp4"))


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
    example.main(command_of("poll", f"http://127.0.0.1:{gate.port}/gated.mp4"))
    assert lines[0].endswith(" 50%  infer  1 of 2 chunks  chunk 1\n")


def test_the_example_cancels_a_job_that_takes_too_long(
    platform: RunPodStandIn, example: ModuleType, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main([*command_of("cancel", f"http://127.0.0.1:{gate.port}/gated.mp4"), "--patience-s", "0"])
    assert capsys.readouterr().out == "the job ended as CANCELLED\n"
    assert platform.jobs[-1].results == []


def test_the_example_reports_each_video_of_a_batch(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(command_of("batch", "http://example.com/video.mp4", "http://example.com/broken.mp4"))
    reports = dict(report.split("\n", 1) for report in capsys.readouterr().out.split("== ")[1:])
    assert reports["http://example.com/video.mp4"].startswith("partial: 50%")
    assert reports["http://example.com/broken.mp4"] == "FAILED: UNREADABLE_VIDEO: no video stream\n"


def test_the_example_names_a_wrong_api_key(example: ModuleType) -> None:
    with pytest.raises(SystemExit, match="check the API key"):
        example.main([*command_of("errors", "http://example.com/video.mp4"), "--api-key", "wrong"])
