"""Answers jobs, without knowing the platform: dicts come in, events and a dict come out."""

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pipeline
from api.request import validate_input
from api.result import estimate_output, job_output
from api.size_limit import truncate_to_limit
from config import load_settings
from errors import WorkerError, to_response
from pipeline import Services
from records import EstimateResult, JobEvent, JobResult

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """The last thing that a job tells: its documented output, or `{"error": "CODE: sentence"}`."""

    output: dict[str, Any]


@functools.cache
def services() -> Services:
    """Return what all jobs share; it is made once per worker process."""
    return Services.create(load_settings())


async def run_job(job_input: object, time_limit_s: float | None = None) -> AsyncGenerator[JobEvent | JobOutcome]:
    """Yield a job's events as they happen, and its outcome as the last one.

    Raises nothing but cancellation: whatever goes wrong is a coded error in the outcome.

    Args:
        job_input: the job's input as the caller sent it.
        time_limit_s: at which the platform would end the job; the configured limit holds too.
    """
    try:
        request, shared = validate_input(job_input), services()
        timeout_s = min(shared.settings.job_timeout_s, time_limit_s or shared.settings.job_timeout_s)
        async with aclosing(pipeline.run(request, shared, timeout_s)) as events:
            async for event in events:
                yield event
        assert isinstance(event, JobResult | EstimateResult)  # the pipeline's last event
        outcome = JobOutcome(await asyncio.to_thread(_deliverable, event))  # in a thread: it may weigh 10 MB
    except WorkerError as exc:
        log.warning("the job failed: %s", exc, exc_info=log.isEnabledFor(logging.DEBUG))
        outcome = JobOutcome(to_response(exc))
    except Exception as exc:  # the one boundary: whatever else went wrong becomes a coded error
        log.exception("the job failed")
        outcome = JobOutcome(to_response(exc))
    else:
        verb = "estimated" if isinstance(event, EstimateResult) else "answered or given up"
        log.info("%d chunks %s in %.1f s", len(event.plan.chunks), verb, event.total_s)
    yield outcome


async def answer_job(job_input: object, time_limit_s: float | None = None) -> dict[str, Any]:
    """Return the output of a job's outcome; see run_job."""
    async with aclosing(run_job(job_input, time_limit_s)) as events:
        async for event in events:
            if isinstance(event, JobOutcome):
                return event.output
    raise AssertionError("a job ends with its outcome")


def _deliverable(result: JobResult | EstimateResult) -> dict[str, Any]:
    if isinstance(result, EstimateResult):
        return estimate_output(result).model_dump(mode="json")
    return truncate_to_limit(job_output(result).model_dump(mode="json"))
