"""`make serve`: the printed curl line gets an answer, and Ctrl-C leaves nothing behind."""

import itertools
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import requests

from runpod_stand_in.ledger import json_object

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "runpod_stand_in"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
ANSWER_TIMEOUT_S = 170
EXIT_TIMEOUT_S = 30


@pytest.mark.timeout(400)
def test_the_printed_curl_line_is_answered_and_ctrl_c_ends_everything() -> None:
    command = [*COMMAND, "--worker", "--port", "0"]
    with subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        (line,) = (line for line in iter(process.stdout.readline, "Ctrl-C ends it.\n") if line.startswith("curl "))
        started = psutil.Process(process.pid).children(recursive=True)
        assert started
        _, _, url, *options = shlex.split(line)
        headers = dict(word.split(": ", 1) for flag, word in itertools.pairwise(options) if flag == "-H")
        state = requests.post(url, options[-1], headers=headers, timeout=ANSWER_TIMEOUT_S).json()
        assert state["status"] == "COMPLETED"
        assert state["output"]["status"] == "complete"
        assert "<21.2 seconds> green triangle" in state["output"]["aggregated_response"]
        process.send_signal(signal.SIGINT)
        assert process.wait(EXIT_TIMEOUT_S) == 0
        assert process.stdout.read().endswith("Stopping …\nStopped.\n")
    assert psutil.wait_procs(started, timeout=EXIT_TIMEOUT_S)[1] == []


def test_a_worker_that_cannot_start_ends_the_command_with_its_reason() -> None:
    finished = subprocess.run(
        [*COMMAND, "--worker", "--port", "0"],
        env=ENVIRONMENT | {"CHUNK_OVERLAP": "-1"}, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 1
    assert "The settings are wrong: CHUNK_OVERLAP must be at least 0.0." in finished.stderr
    assert "The worker ended with status 1; its log stands above." in finished.stderr


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        finished = subprocess.run(
            [*COMMAND, "--port", port], env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert (finished.returncode, finished.stdout) == (1, "")
    assert (
        finished.stderr
        == f"Port {port} cannot be used (Address already in use): choose one with --port, or make serve PORT=…\n"
    )


def test_the_stand_in_alone_says_how_to_attach_a_worker_with_the_test_model() -> None:
    with subprocess.Popen(
        [*COMMAND, "--port", "0"], env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        printed = "".join(iter(process.stdout.readline, "Ctrl-C ends it.\n"))
        process.send_signal(signal.SIGINT)
        assert process.wait(EXIT_TIMEOUT_S) == 0
    exported = set(re.findall(r"(?m)^export (\w+)=", printed))
    assert {"MODEL_NAME", "MAX_FRAME_TOKENS", "VIDEO_ROOTS", "RUNPOD_WEBHOOK_GET_JOB", "RUNPOD_API_KEY"} <= exported
    (body,) = re.findall(r"(?m)^curl .* -d (.*)$", printed)
    job = json_object(" ".join(shlex.split(body)).encode())
    assert job is not None
    assert json.dumps(job["input"]["video_url"]).endswith('.mp4"')
