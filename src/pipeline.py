"""One job from request to result: owns its directory, its deadline and its progress."""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from config import Settings
from download import download
from errors import AllChunksFailed, JobTimeout, WorkerError
from frame_extractor import FrameExtractor
from records import ChunkResult, GenerationOptions, JobRequest, JobResult, Progress, Synthesis
from video_processor import VideoProcessor
from vllm_client import VLLMClient

log = logging.getLogger(__name__)

# Where each stage begins on the scale of the whole job; most of the time goes into the chunks.
STAGE_START = {"download": 0.0, "validate": 0.10, "chunks": 0.12, "synthesis": 0.95}

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Services:
    """What all jobs of a worker process share."""

    settings: Settings
    extractor: FrameExtractor
    processor: VideoProcessor
    client: VLLMClient

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Wire the stages; loads nothing yet."""
        extractor = FrameExtractor(settings)
        return cls(settings, extractor, VideoProcessor(settings, extractor), VLLMClient(settings))


class _Stopwatch:
    def __init__(self) -> None:
        self.stages_s: dict[str, float] = {}
        self._started_s = time.monotonic()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started_s = time.monotonic()
        yield
        self.stages_s[f"{name}_s"] = time.monotonic() - started_s

    @property
    def total_s(self) -> float:
        return time.monotonic() - self._started_s


async def process_video_job(request: JobRequest, services: Services, report: Report) -> JobResult:
    """Answer a job's question about its video.

    Cancelling it kills the decoder, aborts the engine's requests and removes the job's files.

    Raises:
        WorkerError: or one of its kinds; AllChunksFailed when not one chunk was answered.
    """
    timeout_s = services.settings.job_timeout_s
    try:
        async with asyncio.timeout(timeout_s) as deadline, _job_directory(services.settings.work_dir) as directory:
            return await _run_stages(request, services, report, directory)
    except TimeoutError as exc:
        if not deadline.expired():
            raise
        raise JobTimeout(f"The job did not finish within {timeout_s:g} s.") from exc


async def _run_stages(request: JobRequest, services: Services, report: Report, directory: Path) -> JobResult:
    watch = _Stopwatch()
    async with _model_loading(services.client):  # a cold start goes on while the video arrives
        report(_progress("download", "fetching the video"))
        with watch.stage("download"):
            video = await download(request.video_url, directory, services.settings)
        report(_progress("validate", "reading the video"))
        with watch.stage("validate"):
            info = await services.processor.validate_video(video)
        with watch.stage("plan"):  # in a thread: its first call imports for seconds
            plan = await asyncio.to_thread(
                services.processor.calculate_optimal_chunks, info, request.chunk_duration, request.sample_fps
            )
        options = GenerationOptions(request.max_tokens, request.temperature, request.top_p, request.seed)
        done = 0

        def on_result(result: ChunkResult) -> None:
            nonlocal done
            done += 1
            report(_progress("chunks", f"chunk {result.chunk.index + 1} answered", done, len(plan.chunks)))

        report(_progress("chunks", "loading the model and decoding", 0, len(plan.chunks)))
        with watch.stage("chunks"):
            batches = services.extractor.stream_frames(
                video.path, info, plan.sampling, plan.chunks, mode=request.sampling
            )
            chunks = await services.client.process_chunks_parallel(request.prompt, batches, options, on_result)
        _require_an_answer(chunks)
        synthesis, synthesis_error = None, None
        if request.aggregate:
            report(_progress("synthesis", "merging the answers", done, len(plan.chunks)))
            with watch.stage("synthesis"):
                synthesis, synthesis_error = await _synthesise(request.prompt, chunks, options, services.client)
    return JobResult(info, plan, tuple(chunks), synthesis, synthesis_error, watch.stages_s, watch.total_s)


async def _synthesise(
    question: str, chunks: list[ChunkResult], options: GenerationOptions, client: VLLMClient
) -> tuple[Synthesis | None, str | None]:
    """Return the merged answer, or why there is none: the chunks' answers are worth having without it."""
    try:
        return await client.aggregate_chunk_results(question, chunks, options), None
    except WorkerError as exc:
        if exc.refresh_worker:
            raise
        return None, str(exc)


def _require_an_answer(chunks: list[ChunkResult]) -> None:
    if not any(chunk.generation for chunk in chunks):
        raise AllChunksFailed(f"None of {len(chunks)} chunks was answered. The first one failed with {chunks[0].error}")


def _progress(
    stage: Literal["download", "validate", "chunks", "synthesis"], message: str, done: int = 0, num_chunks: int = 0
) -> Progress:
    share_done = done / num_chunks if stage == "chunks" and num_chunks else 0.0
    fraction = STAGE_START[stage] + share_done * (STAGE_START["synthesis"] - STAGE_START["chunks"])
    return Progress(stage, round(fraction, 3), done, num_chunks, message)


@asynccontextmanager
async def _model_loading(client: VLLMClient) -> AsyncIterator[None]:
    """Load the model in the background; a load that fails is reported where the model is first needed."""
    loading = asyncio.create_task(client.initialize_model())
    try:
        yield
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


@asynccontextmanager
async def _job_directory(work_dir: Path) -> AsyncIterator[Path]:
    """Give a job a directory that only this process may enter, gone afterwards."""
    directory = await asyncio.to_thread(_make_directory, work_dir)
    try:
        yield directory
    finally:
        await asyncio.to_thread(shutil.rmtree, directory)


def _make_directory(work_dir: Path) -> Path:
    work_dir.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="job-", dir=work_dir))
