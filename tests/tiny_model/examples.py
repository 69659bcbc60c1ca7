"""Training examples: prompts rendered by the worker's own code, true answers, and what the read-outs should say."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from answers import prompts
from engine.chat import chat_text, video_metadata
from media.budget import frame_size
from records import Chunk, ChunkResult, FrameBatch, Generation
from tiny_model import world
from tiny_model.environment import MAX_FRAME_TOKENS, MIN_FRAME_TOKENS
from tiny_model.wording import FIND_QUESTIONS, LIST_QUESTIONS, reworded
from tiny_model.world import NOT_SEEN, SUBJECTS, Sighting, Subject

SOURCES_PX = ((720, 1280), (720, 1280), (1080, 1920), (1280, 720), (480, 640), (640, 480), (500, 500), (64, 64))
"""Height and width of the videos whose planned frame sizes are trained on."""
MAX_OFFSET_S = 86_400
END = "<|im_end|>"
NO_SUBJECT = len(SUBJECTS)
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Level:
    """How hard the examples are."""

    max_frames: int
    max_scenes: int


@dataclass(slots=True)
class Example:
    """One prompt with its answer. Arrays of the pairs are empty for text."""

    ids: list[int]
    """Token ids of prompt and answer."""
    answer_at: int
    """Where the answer begins."""
    patches: torch.Tensor | None
    grid: torch.Tensor | None
    subjects: np.ndarray
    """int (pairs, 3): subject in the first frame, in the second, and the one before the newest; NO_SUBJECT if none."""
    begins: np.ndarray
    """bool (pairs,): whether the pair is the first to show its newest subject."""
    kept: dict[int, bool]
    """In a merge: the place of each line's last token, and whether the answer repeats the line."""


@dataclass(frozen=True, slots=True)
class Merge:
    """A question, what was said of each chunk, and the sightings in that."""

    question: str
    results: tuple[ChunkResult, ...]
    parts: list[list[Sighting]]


def planned_sizes() -> list[tuple[int, int, float]]:
    """Height, width and the source's aspect of the frames that the worker's planner gives small videos."""
    sizes = []
    for height_px, width_px in SOURCES_PX:
        size = frame_size(height_px, width_px, MIN_FRAME_TOKENS, MAX_FRAME_TOKENS)
        sizes.append((*size, width_px / height_px))
    return sizes


def random_offset_s(generator: np.random.Generator) -> float:
    """Draw when a chunk begins: all numbers of digits, and every digit, up to a day."""
    if generator.random() < 0.15:
        return 0.0
    digits = generator.integers(1, 6)
    return float(min(generator.integers(10 ** (digits - 1), min(10**digits, MAX_OFFSET_S)), MAX_OFFSET_S - 240))


def random_starts(generator: np.random.Generator, frames: int, scenes: int) -> list[int]:
    """Draw the frame with which each scene begins: the first is 0, and each lasts two frames at least."""
    scenes = max(1, min(scenes, frames // 2))
    slack = generator.multinomial(frames - 2 * scenes, generator.dirichlet(np.full(scenes, 0.8)))
    return [0, *np.cumsum(slack + 2)[:-1].tolist()]


def clip(
    generator: np.random.Generator, frames: int, scenes: int, size: tuple[int, int, float]
) -> tuple[FrameBatch, list[Subject]]:
    """Draw a chunk's frames and say what each shows."""
    height_px, width_px, aspect = size
    spacing_s = (
        generator.choice([0.25, 0.5, 0.5, 0.5, 1.0, 2.0]) if generator.random() < 0.7 else generator.uniform(0.25, 2.0)
    )
    starts = random_starts(generator, frames, scenes)
    starts_s = [max(0.0, (start - generator.uniform(0, 0.9)) * spacing_s) for start in starts]
    timeline = world.random_timeline(generator, starts_s, frames * spacing_s, aspect, alike=generator.random() < 0.35)
    local_s = np.arange(frames) * spacing_s
    pixels = world.render(timeline, local_s, height_px, width_px)
    pixels = world.add_noise(generator, pixels, generator.choice([0.0, 0.0, 2.0, 5.0]))
    if generator.random() < 0.7:
        pixels = through_h264(pixels, int(generator.integers(18, 34)))
    start_s = random_offset_s(generator) + generator.choice([0.0, 0.0, round(generator.uniform(0, 2), 3)])
    chunk = Chunk(0, start_s, start_s + frames * spacing_s, start_s + frames * spacing_s)
    batch = FrameBatch(chunk, pixels, start_s + local_s, Fraction(1 / spacing_s).limit_denominator(1000), 0.0)
    return batch, [timeline.subject_at(time_s) for time_s in local_s]


def through_h264(pixels: np.ndarray, crf: int) -> np.ndarray:
    """Encode and decode frames uint8 (T, H, W, 3), in memory."""
    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.height, encoder.width = pixels.shape[1:3]
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 10)
    encoder.options = {"crf": str(crf), "preset": "ultrafast", "threads": "1"}
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    packets = [packet for frame in pixels for packet in encoder.encode(av.VideoFrame.from_ndarray(frame, "rgb24"))]
    packets += encoder.encode(None)
    frames = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    reformatter = VideoReformatter()  # a frame's own would be set up again for each
    return np.stack([reformatter.reformat(frame, format="rgb24").to_ndarray() for frame in frames])


def chunk_example(
    generator: np.random.Generator, processor: Any, frames: int, level: Level, size: tuple[int, int, float]
) -> Example:
    """Draw a clip with a question about it: all its scenes, or one of them."""
    scenes = level.max_scenes if generator.random() < 1 / 3 else int(generator.integers(1, level.max_scenes + 1))
    batch, subjects = clip(generator, frames, scenes, size)
    stamps_s = world.stamps_s(batch.times_s)
    seen = world.sightings(subjects, stamps_s)
    if generator.random() < 0.72:
        question, answer = str(generator.choice(LIST_QUESTIONS)), world.answer_of(seen)
    else:
        question, answer = _search(generator, seen)
    message = prompts.chunk_message(question, batch.chunk)
    if generator.random() < 0.3:
        message = reworded(generator, message)
    inputs = processor(
        text=[chat_text(processor, message, ["video"])],
        videos=[torch.from_numpy(batch.pixels).permute(0, 3, 1, 2)],
        video_metadata=[video_metadata(batch)],
        do_resize=False,
        do_sample_frames=False,
        cap_pixels_per_frame=False,
        return_tensors="pt",
    )
    ids = inputs["input_ids"][0].tolist()
    order = [SUBJECTS.index(subject) for subject in subjects]
    order += order[-1:] * (len(order) % 2)
    first, second = order[::2], order[1::2]
    before = [NO_SUBJECT, *second[:-1]]
    begins = [now != then or start != then for start, now, then in zip(first, second, before, strict=True)]
    previous, last = [], NO_SUBJECT
    for start, now in zip(first, second, strict=True):
        if now != start:
            last = start
        elif previous and start != second[len(previous) - 1]:
            last = second[len(previous) - 1]
        previous.append(last)
    return Example(
        [*ids, *processor.tokenizer.encode(answer + END, add_special_tokens=False)],
        len(ids),
        inputs["pixel_values_videos"],
        inputs["video_grid_thw"],
        np.array([first, second, previous]).T,
        np.array(begins),
        {},
    )


def _search(generator: np.random.Generator, seen: Sequence[Sighting]) -> tuple[str, str]:
    """A question about one subject, and the answer: its line, or that it is not seen."""
    if generator.random() < 0.5:
        sighting = seen[generator.integers(len(seen))]
        wanted, answer = sighting.subject, str(sighting)
    else:
        shown = {sighting.subject for sighting in seen}
        near = [
            s for s in SUBJECTS if s not in shown and any((s.colour == t.colour) != (s.shape == t.shape) for t in shown)
        ]
        absent = [subject for subject in SUBJECTS if subject not in shown]
        pool = near if near and generator.random() < 0.6 else absent
        wanted, answer = pool[generator.integers(len(pool))], NOT_SEEN
    return str(generator.choice(FIND_QUESTIONS)).format(wanted), answer


def random_merge(generator: np.random.Generator) -> Merge:
    """Draw what a viewer said of the chunks of a video; now and then one could not be watched."""
    chunk_s, overlap_s, frame_s = float(generator.choice([10, 20, 30, 60])), 2.0, 0.5
    chunks = int(generator.integers(2, 6))
    start_s = 0.0 if generator.random() < 0.4 else random_offset_s(generator)
    scenes = int(generator.integers(chunks, min(3 * chunks, 12) + 1))
    end_s = chunks * chunk_s
    starts_s = [0.0, *np.sort(generator.uniform(1, end_s, scenes - 1)).tolist()]
    timeline = world.random_timeline(generator, starts_s, end_s, 1.0)
    wanted = None if generator.random() < 0.7 else SUBJECTS[generator.integers(len(SUBJECTS))]
    if wanted and generator.random() < 0.7:
        wanted = timeline.scenes[generator.integers(scenes)].subject
    results: list[ChunkResult] = []
    parts: list[list[Sighting]] = []
    for index in range(chunks):
        from_s = index * chunk_s
        to_s = min(from_s + chunk_s + overlap_s, end_s)
        chunk = Chunk(index, start_s + from_s, start_s + min(from_s + chunk_s, end_s), start_s + to_s)
        if generator.random() < 0.06:
            results.append(ChunkResult(chunk, 0, 2.0, 0.0, chunk.start_s, error="lost"))
            parts.append([])
            continue
        local_s = np.arange(from_s, to_s, frame_s)
        seen = world.sightings([timeline.subject_at(time_s) for time_s in local_s], world.stamps_s(start_s + local_s))
        parts.append([sighting for sighting in seen if wanted in (None, sighting.subject)])
        said = Generation(world.answer_of(parts[-1]), "stop", 0, 0, 0, 0)
        results.append(ChunkResult(chunk, 4, 2.0, 0.0, chunk.end_s, said))
    question = str(generator.choice(FIND_QUESTIONS)).format(wanted) if wanted else str(generator.choice(LIST_QUESTIONS))
    return Merge(question, tuple(results), parts)


def merge_example(generator: np.random.Generator, processor: Any) -> Example:
    """Draw the notes on a video's chunks, and the one list that they make."""
    merge = random_merge(generator)
    text = chat_text(processor, prompts.merge_message(merge.question, [prompts.note(r) for r in merge.results]))
    encoded = processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    kept, at = {}, 0
    for before, part in pairwise([[], *merge.parts]):
        for line in part:
            at = text.index(str(line), at) + len(str(line))
            token = next(i for i, (_, stop) in enumerate(encoded["offset_mapping"]) if stop == at)
            kept[token] = line.subject not in {sighting.subject for sighting in before}
    ids = list(encoded["input_ids"])
    answer = world.answer_of(world.merged(merge.parts))
    answer_ids = processor.tokenizer.encode(answer + END, add_special_tokens=False)
    return Example([*ids, *answer_ids], len(ids), None, None, np.empty((0, 3), int), np.empty(0, bool), kept)
