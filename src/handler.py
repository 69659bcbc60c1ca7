"""RunPod's entry point: the only file that knows the platform and its SDK."""

import asyncio
import functools
import logging
import os
import sys
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

import worker
from api.progress import Progress, ProgressMeter, ProgressSender
from config import load_settings
from job_directory import sweep
from ops.fitness import examine
from ops.logs import configure_logging, job_context
from ops.process_exit import exit_at_once
from worker import JobOutcome

log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 1.0
PROGRESS_TIMEOUT_S = 5.0
DELIVERY_SHARE = 0.1
"""Fraction of the platform's execution timeout that is reserved for delivering the result."""
EXIT_GRACE_S = 5.0
"""Time for running jobs to deliver their errors before the process ends."""
REFRESH_STATUS = 1
"""Upon this exit status the platform starts another worker. Nothing gentler ends the process in time: the SDK would
first wait up to 90 s for its open polls."""


async def handler(job: dict[str, Any]) -> dict[str, Any]:
    """Answer one RunPod job, with its progress in /status; every line that is logged meanwhile names the job."""
    _exit_with_the_engine()
    with job_context(str(job.get("id", "?"))):
        output = await _answer(job)
    if output.get("refresh_worker"):
        asyncio.get_running_loop().call_later(EXIT_GRACE_S, exit_at_once, REFRESH_STATUS)
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
        asyncio.get_running_loop().call_later(EXIT_GRACE_S, exit_at_once, REFRESH_STATUS)

    return asyncio.create_task(exit_after_death())


async def fitness() -> None:
    """Tell the platform, before the first job, that this worker can answer none.

    Raises:
        RuntimeError: with what is wrong.
    """
    faults = [finding for finding in await examine(worker.services().settings) if not finding.is_fit]
    if faults:
        raise RuntimeError("; ".join(f"{fault.name}: {fault.sentence}" for fault in faults))


def check() -> int:
    """Print for people what `fitness` tells the platform; the exit status."""
    findings = asyncio.run(examine(load_settings()))
    for finding in findings:
        sys.stdout.write(f"{'ok' if finding.is_fit else 'FAULT':<7}{finding.name:<14}{finding.sentence}\n")
    return 0 if all(finding.is_fit for finding in findings) else 1


def main() -> None:
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
    # A constant: the SDK drains the worker whenever the concurrency changes.
    config = {"handler": handler, "concurrency_modifier": lambda _current: settings.max_concurrent_jobs}
    try:
        runpod.serverless.start(config)
    finally:  # left to the interpreter's end, vLLM's finaliser fails and prints a traceback
        if not asyncio.run(worker.services().client.shutdown()):
            exit_at_once(0)  # the model is still loading: its thread would keep the process alive


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(check())
    main()
