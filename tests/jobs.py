"""Jobs, and the handler in this process that answers them; the `worker` fixture gives it the session's engine."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

import handler
import worker
from api.progress import Progress, ProgressMeter
from config import Settings
from fakes import ScriptedEngine
from pipeline import Services
from vllm_client import VLLMClient

QUESTION = "What happens?"


def scripted_services(settings: Settings, engine: ScriptedEngine) -> Services:
    """All real stages around a scripted engine."""
    created = Services.create(settings)
    return replace(created, client=VLLMClient(settings, lambda _settings: engine))


async def answer(job_input: object, reported: list[Progress] | None = None, **job: object) -> dict[str, Any]:
    """What the handler answers to a job with this input, and what else the platform says of it."""
    meter, output = ProgressMeter(), {}
    async for event in worker.run_job(job_input, handler.platform_limit_s(job)):
        if isinstance(event, worker.JobOutcome):
            output = event.output
        elif reported is not None and (progress := meter.after(event)):
            reported.append(progress)
    return output


def job_input(video: Path | str, **fields: object) -> dict[str, object]:
    """A question about a video in chunks of four seconds."""
    return {"video_url": str(video), "prompt": QUESTION, "chunk_duration": 4.0, "max_tokens": 8, **fields}


def media_children() -> list[psutil.Process]:
    """The running processes of this one that read a video."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it ended just now
            if any(word in " ".join(child.cmdline()) for word in ("sandbox.confine", "ffmpeg")):
                found.append(child)
    return found
