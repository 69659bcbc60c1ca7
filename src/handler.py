"""RunPod's entry point: the only file that knows the platform, and the only one where dicts become records."""

import asyncio
import functools
import logging
import multiprocessing
import os
import sys
from dataclasses import asdict
from typing import Any, NoReturn

from api.output import job_output
from api.progress import ProgressSender
from api.request import validate_input
from api.size_limit import deliverable
from config import Settings, load_settings
from errors import WorkerError, to_response
from job_directory import sweep
from ops.fitness import examine
from ops.logs import configure_logging, job_context
from pipeline import Report, Services, process_video_job
from records import Progress

log = logging.getLogger(__name__)

PROGRESS_INTERVAL_S = 1.0
PROGRESS_TIMEOUT_S = 5.0
DELIVERY_SHARE = 0.1
"""Of the platform's own limit on a job, kept for delivering the result."""
EXIT_GRACE_S = 5.0
"""After the engine died: time for running jobs to deliver their errors before the process ends."""


@functools.cache
def services() -> Services:
    """What all jobs share; made once per worker process."""
    return Services.create(load_settings())


async def handler(job: dict[str, Any]) -> dict[str, Any]:
    """Answer one RunPod job, with its progress in /status; see `answer_job`."""
    async with ProgressSender(functools.partial(_post_progress, job), PROGRESS_INTERVAL_S) as sender:
        answer = await answer_job(job, sender.report)
    if answer.get("refresh_worker"):
        asyncio.get_running_loop().call_later(EXIT_GRACE_S, _exit_after_engine_death)
    return answer


async def answer_job(job: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return a job's documented output, or {"error": "CODE: sentence"}.

    Never raises but for cancellation: the SDK would send the traceback to the caller.
    """
    with job_context(str(job.get("id", "?"))):
        return await _answer_job(job, report)


async def _answer_job(job: dict[str, Any], report: Report) -> dict[str, Any]:
    job_id = job.get("id", "?")
    try:
        request = validate_input(job.get("input"))
        result = await process_video_job(request, services(), report, time_limit_s(job, services().settings))
        output = deliverable(job_output(result)).model_dump(mode="json")
    except WorkerError as exc:
        log.warning("job %s failed: %s", job_id, exc, exc_info=log.isEnabledFor(logging.DEBUG))
        return to_response(exc)
    except Exception as exc:  # the one boundary: whatever else went wrong becomes a coded error
        log.exception("job %s failed", job_id)
        return to_response(exc)
    log.info("job %s: %d chunks in %.1f s", job_id, len(result.chunks), result.total_s)
    return output


def time_limit_s(job: dict[str, Any], settings: Settings) -> float:
    """Return how long a job may take: as configured, or less if the platform ends it earlier and says so."""
    policy = job.get("policy")
    limit_ms = policy.get("executionTimeout") if isinstance(policy, dict) else None
    if isinstance(limit_ms, int) and limit_ms > 0:
        return min(settings.job_timeout_s, limit_ms / 1000 * (1 - DELIVERY_SHARE))
    return settings.job_timeout_s


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
        log.warning("job %s: progress not delivered within %g s", job["id"], PROGRESS_TIMEOUT_S)


def _exit_after_engine_death() -> NoReturn:
    """End the process with status 1, so that the platform starts another.

    Nothing gentler ends it in time: the SDK would first wait up to 90 s for its open polls. Its child that pings
    the platform outlives os._exit, and would go on reporting a worker that is no more.
    """
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(1)


async def fitness() -> None:
    """Tell the platform, before the first job, that this worker can answer none.

    Raises:
        RuntimeError: with what is wrong.
    """
    faults = [finding for finding in await examine(services().settings) if not finding.is_fit]
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

    settings = services().settings
    configure_logging(settings)
    sweep(settings.work_dir)
    runpod.serverless.register_fitness_check(fitness)
    # A constant: the SDK drains the worker whenever the concurrency changes.
    config = {"handler": handler, "concurrency_modifier": lambda _current: settings.max_concurrent_jobs}
    try:
        runpod.serverless.start(config)
    finally:  # left to the interpreter's end, vLLM's finaliser fails and prints a traceback
        asyncio.run(services().client.shutdown())


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(check())
    main()
