"""RunPod's entry point: the only file that knows the platform and its SDK."""

import argparse
import asyncio
import functools
import json
import logging
import os
import shutil
import sys
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Any, NoReturn

try:
    import worker
    from api.progress import Progress, ProgressMeter, ProgressSender
    from config import InvalidSettings, load_settings
    from job_directory import sweep
    from ops.fitness import examine
    from ops.logs import configure_logging, job_context
    from ops.process_exit import exit_at_once
    from ops.stopping import Stopping
    from worker import JobOutcome
except ImportError as lacking:
    if __name__ != "__main__":
        raise
    sys.exit(
        f"{sys.executable} lacks a package of the worker ({lacking.name}): run this with the Python of the environment "
        "that README.md sets up, such as .venv/bin/python after `make setup`."
    )

log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 1.0
PROGRESS_TIMEOUT_S = 5.0
DELIVERY_SHARE = 0.1
"""Fraction of the platform's execution timeout that is reserved for delivering the result."""
EXIT_GRACE_S = 5.0
"""Time for jobs to deliver their errors before a worker ends that can answer none."""
REFRESH_STATUS = 1
"""Upon this exit status the platform starts another worker."""


async def handler(job: dict[str, Any]) -> dict[str, Any]:
    """Answer one RunPod job, with its progress in /status; every line that is logged meanwhile names the job."""
    _exit_with_the_engine()
    with job_context(str(job.get("id", "?"))):
        output = await _answer(job)
    if output.get("refresh_worker"):
        _make_way()
    return output


async def _answer(job: dict[str, Any]) -> dict[str, Any]:
    output: dict[str, Any] = {}
    meter, jobs = ProgressMeter(), worker.run_job(job.get("input"), platform_limit_s(job))
    send = functools.partial(_post_progress, job)
    async with ProgressSender(send, PROGRESS_INTERVAL_S) as sender, aclosing(jobs) as events:
        async for event in events:
            if isinstance(event, JobOutcome):
                output = event.output
            elif progress := meter.after(event):
                sender.report(progress)
    return output


def platform_limit_s(job: dict[str, Any]) -> float | None:
    """Return how long a job may take before the platform ends it, less the time to deliver; None if it does not say."""
    policy = job.get("policy")
    limit_ms = policy.get("executionTimeout") if isinstance(policy, dict) else None
    return limit_ms / 1000 * (1 - DELIVERY_SHARE) if isinstance(limit_ms, int) and limit_ms > 0 else None


async def _post_progress(job: dict[str, Any], progress: Progress) -> None:
    """Show progress in /status.

    runpod.serverless.progress_update sends from a new thread each time, so its updates overtake each
    other and the result; this posts the same body and waits for the answer.
    """
    if "RUNPOD_WEBHOOK_POST_OUTPUT" not in os.environ:
        return
    from runpod.http_client import AsyncClientSession
    from runpod.serverless.modules.rp_http import send_result

    body = {"status": "IN_PROGRESS", "output": asdict(progress)}
    try:
        async with asyncio.timeout(PROGRESS_TIMEOUT_S), AsyncClientSession() as session:
            await send_result(session, body, job)
    except TimeoutError:
        log.warning("progress was not delivered within %g s", PROGRESS_TIMEOUT_S)


@functools.cache
def _exit_with_the_engine() -> asyncio.Task[None]:
    """Watch, from the first job on, for an engine that dies, also between two jobs: the next one would be lost."""

    async def exit_after_death() -> None:
        await worker.services().client.engine_death.wait()
        _make_way()

    return asyncio.create_task(exit_after_death())


def _make_way() -> None:
    """End this worker for another one as soon as its jobs are over, and soon in any case."""
    stopping().begin(REFRESH_STATUS)
    asyncio.get_running_loop().call_later(EXIT_GRACE_S, exit_at_once, REFRESH_STATUS)


@functools.cache
def stopping() -> Stopping:
    """Return what ends this worker."""
    from runpod.serverless.modules.worker_state import JobsProgress

    return Stopping(worker.services().settings.max_concurrent_jobs, JobsProgress().get_job_count)


async def fitness() -> None:
    """Tell the platform, before the first job, that this worker can answer none.

    Raises:
        RuntimeError: with what is wrong.
    """
    faults = [finding async for finding in examine(worker.services().settings) if not finding.is_fit]
    if faults:
        raise RuntimeError("; ".join(f"{fault.name}: {fault.sentence}" for fault in faults))


async def check() -> int:
    """Print for people what `fitness` tells the platform, each finding as soon as it is there; the exit status."""
    status, columns = 0, shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    async for finding in examine(load_settings()):
        print(finding.lines(columns), flush=True)  # noqa: T201  # for a person
        status = status if finding.is_fit else 1
    return status


async def answer_once(job: dict[str, Any]) -> dict[str, Any]:
    """Answer one job without the platform and return its output; its progress is logged."""
    output: dict[str, Any] = {}
    meter = ProgressMeter()
    with job_context("test_input"):
        async for event in worker.run_job(job.get("input"), platform_limit_s(job)):
            if isinstance(event, JobOutcome):
                output = event.output
            elif progress := meter.after(event):
                log.info("%3.0f %% %s", 100 * progress.fraction, progress.message)
    return output


def run_test_input(text: str) -> NoReturn:
    """Answer the job that a JSON text holds, print its output alone to stdout, and end: 0 if the job was answered.

    The SDK has the same option. It mixes the output into the log, not as JSON, and a failed job's error would come
    before everything that a model says which still loads.
    """
    try:
        job = json.loads(text)
    except ValueError as exc:
        sys.exit(f"--test_input is not JSON: {exc}")
    if not isinstance(job, dict):
        sys.exit('--test_input must be a JSON object, {"input": {"video_url": …, "prompt": …}}')
    configure_logging(worker.services().settings)
    stdout = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # vLLM logs there too
    output = asyncio.run(answer_once(job))
    with os.fdopen(stdout, "w", encoding="utf-8") as file:
        file.write(json.dumps(output, indent=2, ensure_ascii=False) + "\n")
    exit_at_once(1 if "error" in output else 0)  # a model that still loads is not waited for


def serve() -> None:
    """Serve jobs until the platform ends the process."""
    os.environ.setdefault("RUNPOD_LOG_LEVEL", "INFO")  # the SDK's own default prints every prompt and answer
    # The SDK's own checks make a CUDA context in this process, which the engine's would then have to do without.
    os.environ.setdefault("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "true")
    os.environ.setdefault("RUNPOD_SKIP_GPU_CHECK", "true")
    import runpod  # 2 s of imports that neither tests nor test_local.py need

    settings = worker.services().settings
    configure_logging(settings)
    sweep(settings.work_dir)
    runpod.serverless.register_fitness_check(fitness)
    try:
        with suppress(asyncio.CancelledError):  # how `stopping` ends it
            runpod.serverless.start({"handler": handler, "concurrency_modifier": stopping().concurrency})
    finally:  # left to the interpreter's end, vLLM's finaliser fails and prints a traceback
        if stopping().status or not asyncio.run(worker.services().client.shutdown()):
            exit_at_once(stopping().status)  # the model may still be loading: its thread would keep the process alive


def main() -> None:
    """Do what the command line says; whatever else it holds is for the SDK."""
    parser = argparse.ArgumentParser(description="Serve the jobs of a RunPod endpoint.", allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="say what this machine lacks to answer jobs, and end")
    parser.add_argument("--test_input", metavar="JSON", help="answer one job without the platform, and end")
    options, _ = parser.parse_known_args()
    try:
        if options.check:
            sys.exit(asyncio.run(check()))
        if options.test_input:
            run_test_input(options.test_input)
        serve()
    except InvalidSettings as exc:
        sys.exit(str(exc))


if __name__ == "__main__":
    main()
