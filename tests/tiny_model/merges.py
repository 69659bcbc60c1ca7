"""Training examples of the synthesis: notes on a video's chunks, and the merged list."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from answers import prompts
from engine.chat import chat_text
from records import Chunk
from tiny_model import world
from tiny_model.examples import NO_SUBJECT, Example, copied_answer, random_offset_s, stamp_tokens
from tiny_model.wording import random_question
from tiny_model.world import SUBJECTS, Sighting


@dataclass(frozen=True, slots=True)
class Merge:
    """A question, a note on what was said about each chunk, and the sightings in that."""

    question: str
    notes: tuple[str, ...]
    parts: list[list[Sighting]]


def random_merge(generator: np.random.Generator) -> Merge:
    """Draw a video's chunk answers; occasionally a chunk has none."""
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
    notes: list[str] = []
    parts: list[list[Sighting]] = []
    for index in range(chunks):
        from_s = index * chunk_s
        to_s = min(from_s + chunk_s + overlap_s, end_s)
        chunk = Chunk(index, start_s + from_s, start_s + min(from_s + chunk_s, end_s), start_s + to_s)
        if generator.random() < 0.06:
            notes.append(prompts.note(chunk, None))
            parts.append([])
            continue
        local_s = np.arange(from_s, to_s, frame_s)
        seen = world.sightings(
            [timeline.subject_at(time_s) for time_s in local_s.tolist()], world.stamps_s(start_s + local_s)
        )
        parts.append([sighting for sighting in seen if wanted in (None, sighting.subject)])
        notes.append(prompts.note(chunk, world.answer_of(parts[-1])))
    return Merge(random_question(generator, wanted), tuple(notes), parts)


def merge_example(generator: np.random.Generator, processor: Any) -> Example:
    """Draw the notes on a video's chunks and their merged list."""
    merge = random_merge(generator)
    text = chat_text(processor, prompts.merge_message(merge.question, merge.notes))
    encoded = processor.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(encoded["input_ids"])
    told = world.merged(merge.parts)
    begins: list[bool] = []
    ends: list[int] = []
    before: list[int] = []
    at = 0
    for previous, part in pairwise([[], *merge.parts]):
        for line in part:
            at = text.index(str(line), at) + len(str(line))
            ends.append(next(i for i, (_, stop) in enumerate(encoded["offset_mapping"]) if stop == at))
            new = line.subject not in {sighting.subject for sighting in previous}
            number = sum(begins)  # of lines in the merged list before this one
            begins.append(new)
            last = number - 1 if new else number - 2
            before.append(SUBJECTS.index(told[last].subject) if last >= 0 else NO_SUBJECT)
    return Example(
        prompt=ids,
        answer=copied_answer(processor, told, [index for index, new in enumerate(begins) if new]),
        source_ends=ends,
        begins=begins,
        before=before,
        stamps=[stamp_tokens(processor, ids, end - 2) for end in ends],
        shown=[],
    )
