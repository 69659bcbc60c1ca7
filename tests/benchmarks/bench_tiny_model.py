"""`make bench-tiny-model`: how well the test model, run through the worker, reads clips it was not trained on."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

import numpy as np

from answers import prompts
from benchmarks.report import publish
from config import load_settings
from pipeline import Services
from records import Chunk, FrameBatch, GenerationOptions
from tiny_model import world
from tiny_model.environment import environment
from tiny_model.examples import random_offset_s, random_starts
from tiny_model.footage import Camera, film
from tiny_model.merges import random_merge
from tiny_model.score import Score, score, summary
from tiny_model.wording import FIND_QUESTIONS, LIST_QUESTIONS
from tiny_model.world import NOT_SEEN, SUBJECTS, Sighting, Timeline

SEED = 777
TARGETS = {"scene_accuracy": ">= 0.97", "count_accuracy": ">= 0.95", "start_within_1s": ">= 0.95", "exact": ">= 0.85"}
OPTIONS = GenerationOptions(max_tokens=160, temperature=0, top_p=1, seed=None)
UNSEEN_QUESTIONS = ("Say what is on screen, and when.", "What can be watched here? Give the times.")
SOURCES_PX = ((360, 640), (720, 1280), (640, 360), (480, 640), (640, 480), (400, 400), (64, 64))
CAMERA_FPS = 4
"""A multiple of every sampling rate, so each sampled frame is exactly the one drawn for that instant."""
MERGES = 60


@dataclass(frozen=True, slots=True)
class Group:
    """Clips of one kind."""

    name: str
    clips: int
    frames: tuple[int, int]
    scenes: tuple[int, int]
    offsets_s: tuple[int, int] | None = None
    """Range of the clips' start times; None for any time of a day."""


GROUPS = (
    Group("4 to 16 frames, 1 or 2 scenes", 40, (4, 16), (1, 2)),
    Group("17 to 32 frames, 1 to 5 scenes", 50, (17, 32), (1, 5)),
    Group("33 to 60 frames, 1 to 5 scenes", 50, (33, 60), (1, 5)),
    Group("61 to 120 frames, 1 to 5 scenes", 50, (61, 120), (1, 5)),
    Group("offsets of 6 to 24 h", 30, (8, 60), (1, 5), (21_600, 86_400)),
)


@dataclass(frozen=True, slots=True)
class Clip:
    """A file, its sampling rate, and the time at which it starts on the global clock."""

    timeline: Timeline
    path: Path
    sample_fps: float
    offset_s: float


async def clips(group: Group, seed: Sequence[int], directory: Path) -> AsyncIterator[Clip]:
    """Yield a group's clips; the next one is made while questions about the current one are asked."""
    films = filmed(group, np.random.default_rng(seed), directory)
    coming = asyncio.create_task(asyncio.to_thread(next, films, None))
    while clip := await coming:
        coming = asyncio.create_task(asyncio.to_thread(next, films, None))
        yield clip
        clip.path.unlink()


def filmed(group: Group, generator: np.random.Generator, directory: Path) -> Iterator[Clip]:
    """Encode a group's clips: H.264 at CRF 20 to 32 in several sizes."""
    for number in range(group.clips):
        sample_fps = float(generator.choice([0.5, 1, 2, 2, 2]))
        frames = int(generator.integers(group.frames[0], group.frames[1] + 1))
        scenes = int(generator.integers(group.scenes[0], group.scenes[1] + 1))
        starts = random_starts(generator, frames, scenes)
        starts_s = [max(0.0, (start - generator.uniform(0.1, 0.9)) / sample_fps) for start in starts]
        height_px, width_px = SOURCES_PX[generator.integers(len(SOURCES_PX))]
        timeline = world.random_timeline(
            generator, starts_s, frames / sample_fps, width_px / height_px, alike=bool(generator.random() < 0.33)
        )
        crf = str(generator.choice([20, 26, 32]))
        camera = Camera(height_px, width_px, CAMERA_FPS, grain=float(generator.choice([0, 2, 5])))
        options = ("-c:v", "libx264", "-preset", "veryfast", "-crf", crf, "-pix_fmt", "yuv420p")
        path = film(timeline, camera, directory / f"{number}.mp4", options, seed=number)
        if group.offsets_s is None:
            offset_s = random_offset_s(generator)
        else:
            offset_s = float(generator.integers(*group.offsets_s) - 240)
        yield Clip(timeline, path, sample_fps, offset_s + generator.integers(10) / 10)


async def frames_of(services: Services, clip: Clip) -> FrameBatch:
    """Decode the clip's frames as the worker does, with their times shifted by the clip's offset."""
    info = await services.extractor.get_video_info(clip.path)
    plan = services.processor.calculate_optimal_chunks(info, info.duration_s, clip.sample_fps)
    batch = await services.extractor.extract_frames(clip.path, info, plan.grid, plan.chunks[0])
    chunk = batch.chunk
    moved = Chunk(0, chunk.start_s + clip.offset_s, chunk.end_s + clip.offset_s, chunk.seen_end_s + clip.offset_s)
    return replace(batch, watched=replace(batch.watched, chunk=moved), times_s=batch.times_s + clip.offset_s)


def truth(clip: Clip, batch: FrameBatch) -> list[Sighting]:
    """What the model should report for a clip's frames."""
    subjects = [clip.timeline.subject_at(time_s - clip.offset_s) for time_s in batch.times_s]
    return world.sightings(subjects, world.stamps_s(batch.times_s))


async def examine(services: Services) -> tuple[dict[str, list[Score]], dict[str, float]]:
    """Ask about every clip: for all scenes, for one that it shows, for one that it does not show, in new words."""
    generator = np.random.default_rng(SEED)
    marks: dict[str, list[Score]] = {}
    found: list[bool] = []
    absent: list[bool] = []
    reworded: list[bool] = []

    async def ask(question: str, batch: FrameBatch) -> str:
        result = await services.client.process_video_chunk(question, batch, OPTIONS)
        assert isinstance(result.value, str), result.error
        return result.value

    for number, group in enumerate(GROUPS):
        with tempfile.TemporaryDirectory() as directory:
            async for clip in clips(group, (SEED, number), Path(directory)):
                batch = await frames_of(services, clip)
                shown = truth(clip, batch)
                wanted = shown[generator.integers(len(shown))]
                others = [subject for subject in SUBJECTS if subject not in {sighting.subject for sighting in shown}]
                missing = others[generator.integers(len(others))]
                listing, finding = str(generator.choice(LIST_QUESTIONS)), str(generator.choice(FIND_QUESTIONS))
                answers = await asyncio.gather(
                    ask(listing, batch),
                    ask(finding.format(wanted.subject), batch),
                    ask(finding.format(missing), batch),
                    ask(str(generator.choice(UNSEEN_QUESTIONS)), batch),
                )
                marks.setdefault(group.name, []).append(score(answers[0], shown))
                found.append(answers[1].strip() == str(wanted))
                absent.append(answers[2].strip() == NOT_SEEN)
                reworded.append(score(answers[3], shown).exact)
        print(f"{group.name}: {summary(marks[group.name])}", flush=True)
    return marks, {
        "merged_exact": await merged_exact(services, generator),
        "found_exact": sum(found) / len(found),
        "absent_exact": sum(absent) / len(absent),
        "reworded_exact": sum(reworded) / len(reworded),
    }


async def merged_exact(services: Services, generator: np.random.Generator) -> float:
    """The share of merges, of notes on several chunks, that give exactly the right list."""
    right = 0
    engine = await services.client.initialize_model()
    for _ in range(MERGES):
        merge = random_merge(generator)
        told = await engine.generate_on_text(prompts.merge_message(merge.question, merge.notes), OPTIONS)
        right += told.text.strip() == world.answer_of(world.merged(merge.parts))
    return right / MERGES


async def run() -> None:
    """Examine the model and publish its scores."""
    services = Services.create(load_settings())
    try:
        marks, searches = await examine(services)
    finally:
        await services.client.shutdown()
    every = [mark for group in marks.values() for mark in group]
    groups = {name: {"clips": len(group), **summary(group)} for name, group in marks.items()}
    figures: dict[str, Any] = {"clips": len(every), **summary(every), **searches, "groups": groups}
    print("\n".join(card_rows(figures)))
    publish("tiny-model", figures, TARGETS)


def card_rows(figures: dict[str, Any]) -> list[str]:
    """The figures as table rows of the model card, in percent."""
    rows = ["| clips | n | exact | scene count | colour and shape | start |", "|---|--:|--:|--:|--:|--:|"]
    columns = ("exact", "count_accuracy", "scene_accuracy", "start_within_1s")
    for name, group in {**figures["groups"], "all": figures}.items():
        shares = " | ".join(f"{100 * group[column]:.1f}" for column in columns)
        rows.append(f"| {name} | {group['clips']} | {shares} |")
    searches = {"a scene that is shown, found": "found_exact", "a scene that is not shown, `not seen`": "absent_exact",
                "a wording never trained on": "reworded_exact", "notes merged": "merged_exact"}  # fmt: skip
    rows += ["", "| also | exact |", "|---|--:|"]
    return rows + [f"| {name} | {100 * figures[key]:.1f} |" for name, key in searches.items()]


if __name__ == "__main__":
    os.environ |= environment()
    asyncio.run(run())
