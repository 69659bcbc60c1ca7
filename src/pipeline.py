"""One job from request to result: owns its directory, its deadline and its events."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Self

from api.request import JobRequest
from config import Settings
from engine.nvidia import gpu_name
from errors import EngineDead, JobTimeout, WorkerError, first_of_group
from fetched_video import FetchedVideo
from frame_extractor import FrameExtractor
from job_account import JobAccount
from job_directory import job_directory
from pricing import Asked, Speed, estimate, plan_within, price_of
from records import (
    Answer,
    Conclusion,
    Estimate,
    EstimateResult,
    GenerationOptions,
    JobEvent,
    Planned,
    Price,
    PromptRoom,
    Question,
    Stage,
    VideoInfo,
    VideoPlan,
    Watched,
)
from stopwatch import Stopwatch
from video_processor import VideoProcessor
from vllm_client import VLLMClient

log = logging.getLogger(__name__)

SYNTHESIS_SHARE = 0.1
"""Fraction of the job's time that is kept free of chunks, for merging those that were answered by then."""


@dataclass(frozen=True, slots=True)
class Services:
    """What all jobs of a worker process share. As a context manager it stops the engine at the end."""

    settings: Settings
    extractor: FrameExtractor
    processor: VideoProcessor
    client: VLLMClient
    speed: Speed
    """What is known of it so far."""
    price: Price

    @classmethod
    def create(cls, settings: Settings) -> Self:
        """Wire the stages; loads nothing yet."""
        extractor = FrameExtractor(settings)
        processor, client = VideoProcessor(settings, extractor), VLLMClient(settings)
        return cls(settings, extractor, processor, client, Speed(), price_of(gpu_name(), settings.gpu_usd_per_second))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.shutdown()


async def run(request: JobRequest, services: Services, timeout_s: float) -> AsyncGenerator[JobEvent]:
    """Answer a job's question about its video, and tell what happens as it happens; the result is the last event.

    When the time is over, the chunks that were answered are the result; the others have an error. Closing the
    generator kills the decoder, aborts the engine's requests and removes the job's files.

    Args:
        request: the job's input.
        services: those of this worker.
        timeout_s: for the whole job.

    Raises:
        WorkerError: or one of its kinds; AllChunksFailed when no chunk was answered, JobTimeout when none was
            answered in time, EngineDead when this job or another one met the engine's death.
    """
    events: asyncio.Queue[JobEvent | None] = asyncio.Queue()

    async def drive() -> None:
        # One task drives the stages and never waits between two events: their timeouts and task groups may span events.
        async with aclosing(_stages(request, services, timeout_s)) as stages:
            async for event in stages:
                events.put_nowait(event)

    job = asyncio.create_task(drive())
    job.add_done_callback(lambda _job: events.put_nowait(None))
    death = asyncio.create_task(services.client.engine_death.wait())
    # Not when it is cancelled below: a second cancellation would end the job before its decoder is gone.
    death.add_done_callback(lambda death: death.cancelled() or job.cancel())
    try:
        while (event := await events.get()) is not None:
            yield event
        _raise_failure(job)
    except EngineDead:
        services.client.engine_death.set()  # ends all other jobs, whatever they wait for
        raise
    finally:
        job.cancel()
        death.cancel()
        await asyncio.gather(job, death, return_exceptions=True)


def _raise_failure(job: asyncio.Task[None]) -> None:
    if job.cancelled():  # only the engine's death cancels a job from within
        raise EngineDead(EngineDead.SENTENCE)
    job.result()


async def _stages(request: JobRequest, services: Services, timeout_s: float) -> AsyncGenerator[JobEvent]:
    """Download, read, plan, watch and ask, conclude."""
    timeout_s = min(timeout_s, request.limit_s(services.price))
    end_s = asyncio.get_running_loop().time() + timeout_s
    chunks_end_s = end_s - SYNTHESIS_SHARE * timeout_s if request.aggregate else end_s
    settings, processor, watch = services.settings, services.processor, Stopwatch[Stage]()
    questions, engine = request.questions, nullcontext() if request.estimate else services.client.loading()
    # While the video arrives, the model loads if it has not, and the processes that will read the video start.
    async with job_directory(settings.work_dir) as directory, engine:
        async with services.extractor.warm_up():
            async with _deadline(chunks_end_s, "before the first chunk was looked at"):
                yield Stage.DOWNLOAD
                with watch.lap(Stage.DOWNLOAD):
                    video = await FetchedVideo.fetch(
                        request.video_url, directory, settings, in_parts=request.looks_at_little
                    )
                yield Stage.VALIDATE
                with watch.lap(Stage.VALIDATE):
                    info = await video.describe(processor)
                room = None
                if not request.estimate:
                    yield Stage.LOAD
                    with watch.lap(Stage.LOAD):
                        room = await services.client.prompt_room(questions, _options(request), info.end_s)
                yield Stage.PLAN
                with watch.lap(Stage.PLAN):
                    left_s = end_s - asyncio.get_running_loop().time()
                    # In a thread: a job with a budget may need twenty plans, each with thousands of chunks.
                    plan = await asyncio.to_thread(_plan, request, services, info, room, left_s)
                if request.estimate:
                    expected = _estimate(request, services, info, plan)
                    yield EstimateResult(info, plan, expected, watch.laps_s, watch.total_s)
                    return
                with watch.lap(Stage.DOWNLOAD):
                    info = await video.fetch_planned(services.extractor, info, plan)
                yield (planned := Planned(info, plan, questions))
            yield Stage.CHUNKS
            account = JobAccount(planned)
            with watch.lap(Stage.CHUNKS):
                async for event in _watch_and_ask(request, services, video, account, chunks_end_s):
                    account.add(event)
                    yield event
            account.raise_if_nothing_was_answered()
        if request.aggregate:
            yield Stage.SYNTHESIS
            with watch.lap(Stage.SYNTHESIS):
                conclusions = await _conclude_all(request, services, account, end_s)
            for conclusion in conclusions:
                account.add(conclusion)
                yield conclusion
    result = account.result(watch, services.price, is_list=request.prompts is not None)
    services.speed.learn(result, _estimate(request, services, info, plan))
    yield result


def _plan(
    request: JobRequest, services: Services, info: VideoInfo, room: PromptRoom | None, left_s: float
) -> VideoPlan:
    """Plan the video as it was asked for; a job that may cost only so much looks at as few frames as it has to.

    Args:
        request: the job's input.
        services: those of this worker.
        info: of the video.
        room: what the engine's context leaves; None if it is not known.
        left_s: of the time that the job may take.

    Raises:
        InputError: the window is outside the video.
        OverBudget: the fewest frames take too long.
    """

    def plan_with(max_frames: int | None) -> VideoPlan:
        most = min(filter(None, (max_frames, request.max_frames)), default=None)
        scope = replace(request.scope, max_frames=most)
        return services.processor.calculate_optimal_chunks(
            info, request.chunk_duration, request.sample_fps, room, scope
        )

    if not request.has_budget:
        return plan_with(None)
    return plan_within(left_s, plan_with, partial(_estimate, request, services, info))


def _estimate(request: JobRequest, services: Services, info: VideoInfo, plan: VideoPlan) -> Estimate:
    texts = [question.text for question in request.questions]
    asked = Asked(len(texts), sum(map(len, texts)), request.max_tokens, request.aggregate)
    return estimate(info, plan, asked, services.speed, services.price)


async def _watch_and_ask(
    request: JobRequest, services: Services, video: FetchedVideo, account: JobAccount, end_s: float
) -> AsyncGenerator[Watched | Answer]:
    """Decode the chunks and ask about each as soon as its frames exist; when the time is over, answer for the rest.

    Raises:
        JobTimeout: the time is over and no chunk was answered.
    """
    info, plan = account.planned.info, account.planned.plan
    batches = services.extractor.stream_frames(
        *(video.path, info, plan.grid, plan.chunks), selection=plan.selection, fetch_rest=video.fetch_rest
    )
    try:
        async with (
            _deadline(end_s, "before this part was answered"),
            aclosing(services.client.stream_answers(account.questions, batches, _options(request))) as events,
        ):
            async for event in events:
                yield event
    except JobTimeout as exc:
        if not any(answer.is_answered for answer in account.answers):
            raise
        late = account.missing_answers(str(exc))
        log.warning("%d of %d chunks came too late", len(late), len(plan.chunks))
        for answer in late:
            yield answer


async def _conclude_all(request: JobRequest, services: Services, account: JobAccount, end_s: float) -> list[Conclusion]:
    """Return a conclusion for every question, in their order."""
    with first_of_group():
        async with asyncio.TaskGroup() as group:
            concluding = [
                group.create_task(_conclude(request, services, question, account.answers_to(question), end_s))
                for question in account.questions
            ]
    return [one.result() for one in concluding]


async def _conclude(
    request: JobRequest, services: Services, question: Question, answers: list[Answer], end_s: float
) -> Conclusion:
    """Return the merged answer, or why there is none: the chunks' answers are worth having without it."""
    try:
        async with _deadline(end_s, "before the answers were merged"):
            return await services.client.aggregate_chunk_results(question, answers, _options(request))
    except WorkerError as exc:
        if exc.refresh_worker:
            raise
        return Conclusion(question.index, error=str(exc))


def _options(request: JobRequest) -> GenerationOptions:
    return GenerationOptions(
        *(request.max_tokens, request.temperature, request.top_p, request.seed),
        top_k=request.top_k,
        presence_penalty=request.presence_penalty_or_default,
        stop=tuple(request.stop),
    )


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
