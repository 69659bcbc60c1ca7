"""Training examples of chunks: the worker's own prompts, true answers, and targets for the read-outs."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter

from answers import prompts
from engine.chat import chat_text, video_metadata
from records import Chunk, FrameBatch, SampleGrid, Watched
from tiny_model import world
from tiny_model.environment import MAX_FRAME_TOKENS, MIN_FRAME_TOKENS
from tiny_model.wording import random_question, reworded
from tiny_model.world import SUBJECTS, Sighting, Subject
from vision import frame_size

SOURCES_PX = ((720, 1280), (720, 1280), (1080, 1920), (1280, 720), (480, 640), (640, 480), (500, 500), (64, 64))
"""Height and width of the videos whose frame sizes, as the worker plans them, are used in training."""
MAX_OFFSET_S = 86_400
END = "<|im_end|>"
NO_SUBJECT = len(SUBJECTS)
NO_SOURCE = -1
IGNORED = -100
CLOCK_SHARE = 0.3
SEARCH_SHARE = 0.42
"""Share of the questions about a chunk that ask for one subject."""


@dataclass(frozen=True, slots=True)
class Level:
    """How hard the examples are."""

    max_frames: int
    max_scenes: int


class Answer(NamedTuple):
    """The tokens of an answer, and what each depends on."""

    ids: list[int]
    pointers: list[int]
    """For each token, the source that it is copied from, or NO_SOURCE."""
    told: list[int]
    """For each token, the subject of the last line that is complete before it; NO_SUBJECT in the first line."""


@dataclass(slots=True)
class Example:
    """One prompt with its answer, and targets that guide the model towards it.

    The lines of an answer are copied from sources, in order: the pairs of frames of a chunk, or the lines in the notes
    of a merge. The end of a source is its last token.
    """

    prompt: list[int]
    """Token ids."""
    answer: Answer
    source_ends: list[int]
    begins: list[bool]
    """For each source, whether it is new: a pair shows a subject that begins in it, a line has a subject that the note
    before does not mention."""
    before: list[int]
    """For each source, the subject that was new before its newest one; NO_SUBJECT if there was none."""
    stamps: list[tuple[int, int]]
    """For each source, the tokens of its time: hundreds of seconds (IGNORED if there are none) and the rest."""
    shown: list[tuple[int, int]]
    """The subjects in the first and second frame of each pair."""
    wanted: int = NO_SUBJECT
    """The subject that the question is about; NO_SUBJECT if it asks for all."""
    patches: torch.Tensor | None = None
    grid: torch.Tensor | None = None


def planned_sizes() -> list[tuple[int, int, float]]:
    """The height, width and source aspect ratio of the frames that the worker's planner chooses."""
    sizes = []
    for height_px, width_px in SOURCES_PX:
        size = frame_size(height_px, width_px, MIN_FRAME_TOKENS, MAX_FRAME_TOKENS)
        sizes.append((*size, width_px / height_px))
    return sizes


def random_offset_s(generator: np.random.Generator) -> float:
    """Draw when a chunk begins, up to a day; every number of digits is equally likely."""
    if generator.random() < 0.15:
        return 0.0
    digits = int(generator.integers(1, 6))
    return float(min(generator.integers(10 ** (digits - 1), min(10**digits, MAX_OFFSET_S)), MAX_OFFSET_S - 240))


def random_starts(generator: np.random.Generator, frames: int, scenes: int) -> list[int]:
    """Draw the first frame of each scene. The first scene begins at 0, and each lasts at least two frames."""
    scenes = max(1, min(scenes, frames // 2))
    slack = generator.multinomial(frames - 2 * scenes, generator.dirichlet(np.full(scenes, 0.8)))
    return [0, *np.cumsum(slack + 2)[:-1].tolist()]


def clip(
    generator: np.random.Generator, frames: int, scenes: int, size: tuple[int, int, float]
) -> tuple[FrameBatch, list[Subject]]:
    """Draw a chunk's frames and return the subject of each; some clips have a clock in a corner."""
    height_px, width_px, aspect = size
    spacing_s = (
        generator.choice([0.25, 0.5, 0.5, 0.5, 1.0, 2.0]) if generator.random() < 0.7 else generator.uniform(0.25, 2.0)
    )
    starts = random_starts(generator, frames, scenes)
    starts_s = [max(0.0, (start - generator.uniform(0, 0.9)) * spacing_s) for start in starts]
    timeline = world.random_timeline(generator, starts_s, frames * spacing_s, aspect, alike=generator.random() < 0.35)
    local_s = np.arange(frames) * spacing_s
    pixels = world.render(timeline, local_s, height_px, width_px)
    if generator.random() < CLOCK_SHARE:
        world.add_clock(generator, pixels)
    pixels = world.add_noise(generator, pixels, generator.choice([0.0, 0.0, 2.0, 5.0]))
    if generator.random() < 0.7:
        pixels = through_h264(pixels, int(generator.integers(18, 34)))
    times_s = (
        _leaping_clock(generator, local_s, spacing_s)
        if generator.random() < 0.35
        else local_s + random_offset_s(generator)
    )
    times_s = times_s + generator.choice([0.0, 0.0, round(generator.uniform(0, 2), 3)])
    end_s = times_s[-1] + spacing_s
    chunk = Chunk(0, times_s[0], end_s, end_s)
    grid = SampleGrid(0.0, Fraction(1 / spacing_s).limit_denominator(1000), *pixels.shape[1:3])
    watched = Watched(chunk, grid, len(times_s), seen_until_s=end_s)
    batch = FrameBatch(watched, pixels, times_s, np.zeros(len(times_s), bool))
    return batch, [timeline.subject_at(time_s) for time_s in local_s]


def _leaping_clock(generator: np.random.Generator, local_s: np.ndarray, spacing_s: float) -> np.ndarray:
    """Return times whose hundreds of seconds differ from pair to pair.

    On an even clock all pairs of a chunk share their hundreds, and the model memorises numbers before it learns to
    copy the one that precedes a pair.
    """
    pairs = (len(local_s) + 1) // 2
    starts_s = np.sort(generator.choice(MAX_OFFSET_S - 240, pairs, replace=False))
    return np.repeat(starts_s, 2)[: len(local_s)] + np.arange(len(local_s)) % 2 * min(spacing_s, 0.5)


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
    reformatter = VideoReformatter()  # the reformatter of a frame would be set up again for every frame
    return np.stack([reformatter.reformat(frame, format="rgb24").to_ndarray() for frame in frames])


def chunk_example(
    generator: np.random.Generator, processor: Any, frames: int, level: Level, size: tuple[int, int, float]
) -> Example:
    """Draw a clip and a question about all its scenes or about one subject."""
    scenes = level.max_scenes if generator.random() < 1 / 3 else int(generator.integers(1, level.max_scenes + 1))
    batch, subjects = clip(generator, frames, scenes, size)
    stamps_s = world.stamps_s(batch.times_s)
    seen = world.sightings(subjects, stamps_s)
    wanted = None
    if generator.random() < SEARCH_SHARE:
        wanted = _wanted(generator, [sighting.subject for sighting in seen])
    question = random_question(generator, wanted)
    told = [sighting for sighting in seen if wanted in (None, sighting.subject)]
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
    vision_start, pad, vision_end = processor.tokenizer.convert_tokens_to_ids(
        ["<|vision_start|>", "<|video_pad|>", "<|vision_end|>"]
    )
    starts = [at for at, token in enumerate(ids) if token == vision_start and ids[at + 1] == pad]
    ends = [at for at, token in enumerate(ids) if token == vision_end and ids[at - 1] == pad]
    order = [SUBJECTS.index(subject) for subject in subjects]
    order += order[-1:] * (len(order) % 2)
    pairs = list(zip(order[::2], order[1::2], strict=True))
    return Example(
        prompt=ids,
        answer=copied_answer(processor, told, [stamps_s.index(sighting.stamp_s) for sighting in told]),
        source_ends=ends,
        begins=[index == 0 or pair != (pairs[index - 1][1],) * 2 for index, pair in enumerate(pairs)],
        before=_before_newest(pairs),
        stamps=[stamp_tokens(processor, ids, start - 1) for start in starts],
        shown=pairs,
        wanted=SUBJECTS.index(wanted) if wanted else NO_SUBJECT,
        patches=inputs["pixel_values_videos"],
        grid=inputs["video_grid_thw"],
    )


def _before_newest(pairs: Sequence[tuple[int, int]]) -> list[int]:
    before, newest, found = NO_SUBJECT, NO_SUBJECT, []
    for pair in pairs:
        for subject in pair:
            if subject != newest:
                before, newest = newest, subject
        found.append(before)
    return found


def copied_answer(processor: Any, told: Sequence[Sighting], sources: Sequence[int]) -> Answer:
    """Return the answer for sightings, each copied from its source. A line's end points at the next line's source."""
    if not told:
        ids = processor.tokenizer.encode(world.NOT_SEEN + END, add_special_tokens=False)
        return Answer(ids, [NO_SOURCE] * len(ids), [NO_SUBJECT] * len(ids))
    answer = Answer([], [], [])
    before = NO_SUBJECT
    following = [*sources[1:], NO_SOURCE]
    for line, source, next_source in zip(told, sources, following, strict=True):
        tokens = processor.tokenizer.encode(str(line), add_special_tokens=False)
        end = processor.tokenizer.encode(END if next_source == NO_SOURCE else "\n", add_special_tokens=False)
        subject = SUBJECTS.index(line.subject)
        answer.ids.extend(tokens + end)
        answer.pointers.extend([source] * len(tokens) + [next_source] * len(end))
        answer.told.extend([before] * len(tokens) + [subject] * len(end))
        before = subject
    return answer


def stamp_tokens(processor: Any, ids: Sequence[int], seconds_at: int) -> tuple[int, int]:
    """Return the tokens of the time in front of ` seconds>`."""
    hundreds, rest = ids[seconds_at - 2 : seconds_at]
    return IGNORED if hundreds == processor.tokenizer.convert_tokens_to_ids("<") else hundreds, rest


def _wanted(generator: np.random.Generator, shown: Sequence[Subject]) -> Subject:
    """Draw a subject to ask for: one that is shown, or one that is not but usually resembles one that is."""
    if generator.random() < 0.5:
        return shown[int(generator.integers(len(shown)))]
    absent = [subject for subject in SUBJECTS if subject not in shown]
    near = [s for s in absent if any((s.colour == t.colour) != (s.shape == t.shape) for t in shown)]
    pool = near if near and generator.random() < 0.6 else absent
    return pool[generator.integers(len(pool))]
