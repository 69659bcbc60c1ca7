"""A worker whose frames are watched on their way to the model, and what it should say."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import worker
from pipeline import Services
from records import FrameBatch
from tiny_model import world
from tiny_model.footage import true_sightings
from tiny_model.wording import LIST_QUESTIONS
from tiny_model.world import Sighting, Timeline, answer_of, merged

SAMPLE_FPS = 2.0
CHUNK_S, OVERLAP_S = 8.0, 2.0
MAX_TOKENS = 160
"""More than any right answer has; a model that is shown nonsense does not always come to an end."""


@dataclass
class Worker:
    """Runs jobs, keeps the frames that reach the model, and can be broken."""

    services: Services
    seen: list[FrameBatch] = field(default_factory=list)
    break_frames: Callable[[list[FrameBatch]], list[FrameBatch]] | None = None

    async def answer(self, video: object, question: str = LIST_QUESTIONS[0], **fields: object) -> dict[str, Any]:
        """Run a job in which nothing fails."""
        job_input = {
            "video_url": str(video), "prompt": question, "temperature": 0.0, "chunk_duration": CHUNK_S,
            "sample_fps": SAMPLE_FPS, "max_tokens": MAX_TOKENS, **fields,
        }  # fmt: skip
        output = await worker.answer_job(job_input)
        assert "error" not in output, output
        assert output["coverage"] == 1.0
        assert output["status"] == "complete" or self.break_frames  # wrong frames may make the model run on
        return output

    def watch_frames(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand between the extractor and the model."""
        stream_frames = self.services.extractor.stream_frames

        async def observed(*arguments: Any, **options: Any) -> AsyncIterator[FrameBatch]:
            batches = stream_frames(*arguments, **options)
            if self.break_frames:
                for batch in self.break_frames([batch async for batch in batches]):
                    self.seen.append(batch)
                    yield batch
            else:
                async for batch in batches:
                    self.seen.append(batch)
                    yield batch

        monkeypatch.setattr(self.services.extractor, "stream_frames", observed)


def told_by_chunks(output: dict[str, Any]) -> list[str]:
    """The chunks' answers."""
    return [chunk["text"] for chunk in output["chunk_results"]]


def true_parts(timeline: Timeline, *, chunk_s: float = CHUNK_S, sample_fps: float = SAMPLE_FPS) -> list[list[Sighting]]:
    """What is to be told of each chunk, by what was asked for, not by what the worker says that it did."""
    starts_s = np.arange(0, timeline.duration_s, chunk_s).tolist()
    return [true_sightings(timeline, start_s, start_s + chunk_s + OVERLAP_S, sample_fps) for start_s in starts_s]


def check_chunks(output: dict[str, Any], timeline: Timeline) -> None:
    """Each chunk's answer names the scenes that it sees, in order, each with the stamp of its first pair."""
    assert told_by_chunks(output) == [answer_of(part) for part in true_parts(timeline)]


def check_merged(output: dict[str, Any], timeline: Timeline) -> None:
    """The merged answer tells every scene of the video once."""
    told = merged(true_parts(timeline))
    assert [sighting.subject for sighting in told] == [scene.subject for scene in timeline.scenes]
    assert output["aggregated_response"] == answer_of(told)


def check_colours(batches: Sequence[FrameBatch], timeline: Timeline) -> None:
    """The subjects have the colours in which they were drawn, to a few steps of 255."""
    for batch in batches:
        drawn = world.render(timeline, batch.times_s, *batch.pixels.shape[1:3])
        for picture, original, time_s in zip(batch.pixels, drawn, batch.times_s, strict=True):
            tint = timeline.scenes[timeline.index_at(time_s)].tint
            inside = (original == tint).all(-1)
            assert np.abs(np.median(picture[inside], axis=0) - tint).max() <= 6
