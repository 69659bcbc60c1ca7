"""Serve until interrupted, with a worker if asked for; print how to send a job."""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from job_screen import StageBars
from runpod_stand_in import RunPodStandIn, WorkerRecord
from tiny_model.environment import environment
from tiny_model.sample import SAMPLE_NAME, make_sample

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / ".cache" / SAMPLE_NAME
PROMPT = "What happens, and when?"
RUNSYNC_HOLD_S = 600.0
"""The first answer waits for the model."""
POLL_INTERVAL_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description="RunPod's serverless platform on this machine.")
    parser.add_argument("--port", type=int, default=18080, help="0 takes a free one; default: 18080")
    parser.add_argument("--worker", action="store_true", help="run a worker with the test model too")
    arguments = parser.parse_args()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background job starts with SIGINT ignored
        signal.signal(name, signal.default_int_handler)
    with ExitStack() as running:
        try:
            platform = running.enter_context(RunPodStandIn(arguments.port, runsync_hold_s=RUNSYNC_HOLD_S))
        except OSError as taken:
            reason = os.strerror(taken.errno or 0)
            sys.exit(f"Port {arguments.port} cannot be used ({reason}): choose one with --port, or make serve PORT=…")
        running.callback(say, "Stopped.")
        running.enter_context(suppress(KeyboardInterrupt))
        if arguments.worker:
            serve_with_worker(platform)
        say(f"For a worker, {python()} src/handler.py:\n")
        say(exports(platform.worker_environment() | worker_settings()))
        say(f"\n{how_to_ask(platform)}")
        while True:  # one long wait would miss a signal that comes in the instant before it
            time.sleep(POLL_INTERVAL_S)


def serve_with_worker(platform: RunPodStandIn) -> NoReturn:
    """Run a worker until it ends or somebody interrupts."""
    with ExitStack() as running:
        if not SAMPLE.exists():
            with StageBars(Console()) as bars:
                make_sample(SAMPLE, lambda share: bars.show("sample", "making the sample, once", share, 1))
        say("Starting the worker …")  # no bar: the worker's log would break it
        command = [sys.executable, str(ROOT / "src" / "handler.py")]
        process = running.enter_context(platform.worker_process(command, environment=worker_settings()))
        running.callback(say, "Stopping …")
        wait_for_worker(platform.worker(), process)
        serving = broken("Serving, with a test model that knows coloured shapes and nothing else.")
        say(f"\n{serving}\n\n{how_to_ask(platform)}")
        sys.exit(f"The worker ended with status {process.wait()}; its log stands above.")


def wait_for_worker(worker: WorkerRecord, process: "subprocess.Popen[bytes]") -> None:
    """Return when the worker polls for work; if it ends before, so does this program."""
    while not worker.takes:
        with suppress(subprocess.TimeoutExpired):
            sys.exit(f"The worker ended with status {process.wait(POLL_INTERVAL_S)}; its log stands above.")


def worker_settings() -> dict[str, str]:
    """Return the settings of a worker with the test model that may read the sample; what is set already stays."""
    settings = environment() | {
        "VIDEO_ROOTS": str(SAMPLE.parent),
        "DOWNLOAD_ALLOW_PRIVATE": "127.0.0.1,localhost",
        "RUNPOD_LOG_LEVEL": "WARN",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "PYTHONWARNINGS": "ignore",  # vLLM's and torch's own, on every start
    }
    return {name: os.environ.get(name, value) for name, value in settings.items()}


def how_to_ask(platform: RunPodStandIn) -> str:
    """Return what to type into another terminal."""
    job = json.dumps({"input": {"video_url": str(SAMPLE), "prompt": PROMPT, "temperature": 0}})
    headers = {"Authorization": f"Bearer {platform.api_key}", "Content-Type": "application/json"}
    words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    curl = shlex.join(["curl", "-s", f"{platform.url}/{platform.endpoint_id}/runsync", *words, "-d", job])
    example = [python(), "example_usage.py", "poll", "--video-url", str(SAMPLE), "--prompt", PROMPT]
    ask = broken("Ask in another terminal; the first answer waits until the worker has loaded its model:")
    return (
        f"{ask}\n\n{curl}\n\n"
        f"or, with RunPod's SDK:\n\n{exports(platform.client_environment())}\n{shlex.join(example)}\n\n"
        "Ctrl-C ends it."
    )


def exports(environment: Mapping[str, str]) -> str:
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())


def python() -> str:
    """This Python, as one types it here."""
    return os.path.relpath(sys.executable) if Path(sys.executable).is_relative_to(Path.cwd()) else sys.executable


def broken(sentence: str) -> str:
    """The sentence with its lines broken between words; commands are not broken, so that they can be copied."""
    return textwrap.fill(sentence, shutil.get_terminal_size().columns)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
