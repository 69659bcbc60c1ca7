"""The stand-in for RunPod's platform without a worker: what its routes answer to plain requests."""

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from runpod_stand_in import JobRecord, RunPodStandIn

TIMEOUT_S = 15.0


def client_headers(platform: RunPodStandIn) -> dict[str, str]:
    return {"Authorization": f"Bearer {platform.api_key}"}


def take_url(platform: RunPodStandIn) -> str:
    return platform.worker_environment()["RUNPOD_WEBHOOK_GET_JOB"].replace("$ID", "worker-1")


def take(platform: RunPodStandIn) -> Any:
    response = requests.get(take_url(platform), timeout=TIMEOUT_S)
    response.raise_for_status()
    return response.json()


def post(platform: RunPodStandIn, job: JobRecord, body: bytes) -> int:
    """The HTTP status that a worker's post to job-done gets."""
    url = platform.worker_environment()["RUNPOD_WEBHOOK_POST_OUTPUT"]
    url = url.replace("$RUNPOD_POD_ID", "worker-1").replace("$ID", job.id)
    return requests.post(f"{url}&isStream=false", data=body, timeout=TIMEOUT_S).status_code


def held_poll(url: str) -> socket.socket:
    """A connection on which a poll was sent; its answer is awaited, or given up, by whoever has it."""
    parts = urlsplit(url)
    poll = socket.create_connection(("127.0.0.1", parts.port or 80), TIMEOUT_S)
    poll.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    return poll


def test_a_wrong_api_key_is_refused() -> None:
    with RunPodStandIn() as platform:
        url = f"{platform.url}/{platform.endpoint_id}/run"
        headers = {"Authorization": "Bearer wrong"}
        assert requests.post(url, json={"input": {}}, headers=headers, timeout=TIMEOUT_S).status_code == 401
        assert platform.jobs == []


def test_runsync_gives_up_the_wait_and_not_the_job() -> None:
    with RunPodStandIn() as platform:
        url = f"{platform.url}/{platform.endpoint_id}/runsync?wait=1"  # RunPod's least is 1000 ms
        submitted = requests.post(
            url, json={"input": {"question": 1}}, headers=client_headers(platform), timeout=TIMEOUT_S
        )
        assert submitted.json()["status"] == "IN_QUEUE"
        assert submitted.elapsed.total_seconds() >= 1
        job = platform.job(take(platform)["id"])
        assert post(platform, job, b'{"output": {"answer": 2}}') == 200
        assert (job.status, job.output) == ("COMPLETED", {"answer": 2})


def test_a_post_after_the_result_is_recorded_and_changes_nothing() -> None:
    with RunPodStandIn() as platform:
        job = platform.submit({})
        take(platform)
        post(platform, job, b'{"output": {"answer": 7}}')
        assert post(platform, job, b'{"status": "IN_PROGRESS", "output": "late"}') == 200
        assert post(platform, job, b'{"output": "second result"}') == 200
        assert (job.status, job.output, job.progress) == ("COMPLETED", {"answer": 7}, [])
        assert [arrival.body.get("output") for arrival in job.late] == ["late", "second result"]
        assert len(job.results) == 2


@pytest.mark.parametrize("body", [b'{"output": NaN}', b'{"output": ', b'"text"'])
def test_a_result_that_is_no_json_object_is_refused(body: bytes) -> None:
    with RunPodStandIn() as platform:
        job = platform.submit({})
        take(platform)
        assert post(platform, job, body) == 400
        assert (job.status, job.malformed, job.results) == ("IN_PROGRESS", [body], [])


def test_a_poll_that_was_given_up_takes_no_job() -> None:
    with RunPodStandIn() as platform:
        worker = platform.worker()
        with held_poll(take_url(platform)):
            platform.wait_until(lambda: worker.polling == 1, what="the poll to be held")
        platform.wait_until(lambda: worker.polling == 0, what="the poll to be dropped")
        job = platform.submit({"question": 1})
        assert take(platform) == {"id": job.id, "input": {"question": 1}}


def test_a_batch_is_taken_in_order_and_no_larger_than_asked_for() -> None:
    with RunPodStandIn() as platform:
        jobs = [platform.submit({"question": number}) for number in range(3)]
        url = take_url(platform).replace("/job-take/", "/job-take-batch/") + "&batch_size=2"
        batches = [requests.get(url, timeout=TIMEOUT_S).json() for _ in range(2)]
        assert batches == [
            [{"id": job.id, "input": job.input} for job in jobs[:2]],
            [{"id": jobs[2].id, "input": jobs[2].input}],
        ]


def test_a_poll_for_stop_signals_is_held_until_there_is_one() -> None:
    with RunPodStandIn() as platform:
        stop_url = take_url(platform).replace("/job-take/", "/job-stop/")
        with held_poll(stop_url) as poll:
            job = platform.submit({})
            take(platform)
            poll.settimeout(0.2)
            with pytest.raises(TimeoutError):
                poll.recv(1)
            platform.cancel(job.id)
            poll.settimeout(TIMEOUT_S)
            answer = http.client.HTTPResponse(poll)
            answer.begin()
            assert json.load(answer) == {"jobsToStop": [job.id]}


def test_waiting_for_a_status_that_never_comes_says_where_the_job_stands() -> None:
    with RunPodStandIn() as platform:
        job = platform.submit({})
        with pytest.raises(TimeoutError, match=f"{job.id}.*IN_QUEUE"):
            platform.wait_for_status(job.id, "COMPLETED", timeout_s=0.01)


def test_the_command_line_prints_what_a_client_needs_and_ends_on_an_interrupt() -> None:
    command = [sys.executable, "-m", "runpod_stand_in", "--port", "0"]
    with subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        exported: dict[str, str] = {}
        while "RUNPOD_ENDPOINT_BASE_URL" not in exported:
            line = process.stdout.readline()
            if line.startswith("export "):
                exported |= dict(word.split("=", 1) for word in shlex.split(line)[1:])
        health = requests.get(
            f"{exported['RUNPOD_ENDPOINT_BASE_URL']}/{exported['RUNPOD_ENDPOINT_ID']}/health",
            headers={"Authorization": f"Bearer {exported['RUNPOD_API_KEY']}"},
            timeout=TIMEOUT_S,
        )
        assert health.json()["jobs"]["inQueue"] == 0
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(TIMEOUT_S) == 0
