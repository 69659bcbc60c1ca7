"""One job from request to result: owns its directory, its deadline and its progress."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn, Self

from api.request import JobRequest
from config import Settings
from download import download
from errors import AllChunksFailed, EngineDead, JobTimeout, WorkerError
from frame_extractor import FrameExtractor
from job_directory import job_directory
from records import (
    ChunkResult,
    GenerationOptions,
    JobResult,
    LocalVideo,
    Progress,
    Synthesis,
    VideoInfo,
    VideoPlan,
)
from video_processor import VideoProcessor
from vllm_client import VLLMClient

log = logging.getLogger(__name__)

# Where each stage begins on the scale of the whole job; most of the time goes into the chunks.
STAGE_START = {"download": 0.0, "validate": 0.10, "chunks": 0.12, "synthesis": 0.95}
SYNTHESIS_SHARE = 0.1
"""Of the job's time, kept free of chunks so that those answered by then can be merged."""

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Services:
    """What all jobs of a worker process share."""

    settings: Settings
    extractor: FrameExtractor
    processor: VideoProcessor
    client: VLLMClient
    engine_death: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the job that meets it; ends all others, whatever they wait for."""

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


async def process_video_job(request: JobRequest, services: Services, report: Report, timeout_s: float) -> JobResult:
    """Answer a job's question about its video, as long as the engine lives.

    When the time is over, the chunks that were answered are the result; the others have an error.
    Cancelling it kills the decoder, aborts the engine's requests and removes the job's files.

    Args:
        request: the job's input.
        services: of this worker.
        report: called with the job's progress.
        timeout_s: for the whole job.

    Raises:
        WorkerError: or one of its kinds; AllChunksFailed when not one chunk was answered, JobTimeout when not
            one was in time, EngineDead when this job or another one met that.
    """
    job = asyncio.create_task(_process(request, services, report, timeout_s))
    death = asyncio.create_task(services.engine_death.wait())
    try:
        await asyncio.wait({job, death}, return_when=asyncio.FIRST_COMPLETED)
        return job.result() if job.done() else _end_with_the_engine()
    except EngineDead:
        services.engine_death.set()
        raise
    finally:
        job.cancel()
        death.cancel()
        await asyncio.gather(job, death, return_exceptions=True)


def _end_with_the_engine() -> NoReturn:
    raise EngineDead("The engine died; this worker restarts. Send the job again.")


async def _process(request: JobRequest, services: Services, report: Report, timeout_s: float) -> JobResult:
    end_s = asyncio.get_running_loop().time() + timeout_s
    chunks_end_s = end_s - SYNTHESIS_SHARE * timeout_s if request.aggregate else end_s
    job = _Job(request, services, report)
    # While the video arrives, the model loads, if it has not, and the processes start that will read the video.
    async with job_directory(services.settings.work_dir) as directory, _model_loading(services.client):
        with services.extractor.readers.started_early():
            async with _deadline(chunks_end_s, "before the first chunk was looked at"):
                source = await job.prepare(directory)
            chunks = await job.answer_chunks(source, chunks_end_s)
        synthesis, synthesis_error = await job.synthesise(chunks, end_s) if request.aggregate else (None, None)
    watch = job.watch
    return JobResult(source.info, source.plan, tuple(chunks), synthesis, synthesis_error, watch.stages_s, watch.total_s)


@dataclass(frozen=True, slots=True)
class _Source:
    video: LocalVideo
    info: VideoInfo
    plan: VideoPlan


class _Job:
    """The stages of one job."""

    def __init__(self, request: JobRequest, services: Services, report: Report) -> None:
        self._request = request
        self._services = services
        self._report = report
        self._options = GenerationOptions(request.max_tokens, request.temperature, request.top_p, request.seed)
        self.watch = _Stopwatch()

    async def prepare(self, directory: Path) -> _Source:
        """Fetch, read and plan the video."""
        request, processor = self._request, self._services.processor
        self._report(_progress("download", "fetching the video"))
        with self.watch.stage("download"):
            video = await download(request.video_url, directory, self._services.settings)
        self._report(_progress("validate", "reading the video"))
        with self.watch.stage("validate"):
            info = await processor.validate_video(video)
        with self.watch.stage("plan"):  # in a thread: its first call imports for seconds
            plan = await asyncio.to_thread(
                processor.calculate_optimal_chunks, info, request.chunk_duration, request.sample_fps
            )
        return _Source(video, info, plan)

    async def answer_chunks(self, source: _Source, end_s: float) -> list[ChunkResult]:
        """Return a result for every chunk of the plan, in order; one that was not answered has an error.

        Raises:
            JobTimeout: not one was answered in time.
            AllChunksFailed: not one was answered.
        """
        plan = source.plan
        results: dict[int, ChunkResult] = {}

        def on_result(result: ChunkResult) -> None:
            results[result.chunk.index] = result
            message = f"chunk {result.chunk.index + 1} answered"
            self._report(_progress("chunks", message, len(results), len(plan.chunks)))

        self._report(_progress("chunks", "loading the model and decoding", 0, len(plan.chunks)))
        batches = self._services.extractor.stream_frames(
            source.video.path, source.info, plan.sampling, plan.chunks, mode=self._request.sampling
        )
        with self.watch.stage("chunks"):
            try:
                async with _deadline(end_s, "before this part was answered"):
                    chunks = await self._services.client.process_chunks_parallel(
                        self._request.prompt, batches, self._options, on_result
                    )
            except JobTimeout as exc:
                if not any(result.generation for result in results.values()):
                    raise
                log.warning("%d of %d chunks came too late", len(plan.chunks) - len(results), len(plan.chunks))
                late, fps = str(exc), float(plan.sampling.fps)
                chunks = [
                    results.get(chunk.index) or ChunkResult(chunk, 0, fps, 0.0, chunk.start_s, error=late)
                    for chunk in plan.chunks
                ]
        if not any(chunk.generation for chunk in chunks):
            raise AllChunksFailed(
                f"None of {len(chunks)} chunks was answered. The first one failed with {chunks[0].error}"
            )
        return chunks

    async def synthesise(self, chunks: list[ChunkResult], end_s: float) -> tuple[Synthesis | None, str | None]:
        """Return the merged answer, or why there is none: the chunks' answers are worth having without it."""
        self._report(_progress("synthesis", "merging the answers", len(chunks), len(chunks)))
        with self.watch.stage("synthesis"):
            try:
                async with _deadline(end_s, "before the answers were merged"):
                    merged = await self._services.client.aggregate_chunk_results(
                        self._request.prompt, chunks, self._options
                    )
            except WorkerError as exc:
                if exc.refresh_worker:
                    raise
                return None, str(exc)
        return merged, None


@asynccontextmanager
async def _deadline(end_s: float, when: str) -> AsyncIterator[None]:
    """End what is inside at a time of the event loop's clock.

    Raises:
        JobTimeout: it was not over by then.
    """
    try:
        async with asyncio.timeout_at(end_s) as deadline:
            yield
    except TimeoutError as exc:
        if not deadline.expired():
            raise
        raise JobTimeout(f"The job's time was over {when}.") from exc


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
