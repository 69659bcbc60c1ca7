"""Batches of training examples, each a pure function of its step, so that training resumes where it stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from tiny_model.architecture import PATCH_PX, TEMPORAL
from tiny_model.examples import (
    IGNORED,
    NO_SOURCE,
    Example,
    Level,
    chunk_example,
    clip,
    planned_sizes,
)
from tiny_model.merges import merge_example
from tiny_model.world import SHAPES, SUBJECTS

VIDEO_TOKENS, TEXT_TOKENS = 3500, 600
"""Of a step's two batches, padding included."""
VISION_CLIPS, VISION_FRAMES = 12, 16
CHANNELS = 3
EASIEST, HARDEST = Level(12, 2), Level(120, 5)
COPIES = 512
"""At most as many copies of a batch are asked for."""
RAMP = 0.35
"""The share of the joint stage after which examples are as hard as they get."""


@dataclass(slots=True)
class Batch:
    """Examples of one frame size, or texts, padded on the right. Places are (rows, columns) into `ids`."""

    ids: torch.Tensor
    """int (B, L)."""
    kinds: torch.Tensor
    """int (B, L): 2 for a vision token, else 0; Hugging Face's mm_token_type_ids."""
    patches: torch.Tensor | None
    grids: torch.Tensor | None
    answer_places: tuple[torch.Tensor, torch.Tensor]
    """Where a token of an answer is predicted."""
    answers: torch.Tensor
    shares: torch.Tensor
    """float (answer tokens,): of each in the loss, 1 in all. An example counts as the square root of its tokens."""
    pointers: torch.Tensor
    """int (answer tokens,): the column of the end of the source that each is copied from, its own place if of none."""
    told: torch.Tensor
    """int (answer tokens,): the subject of the last complete line before each."""
    copies: torch.Tensor
    """int (copies, 3): an answer token that is a number, the column of any source's end, and what the token would be if
    it were copied from that source."""
    source_ends: tuple[torch.Tensor, torch.Tensor]
    begins: torch.Tensor
    before: torch.Tensor
    stamps: torch.Tensor
    """int (sources, 2)."""
    shown: torch.Tensor
    """int (pairs, 2)."""
    wanted: torch.Tensor
    """int (B,): the subject asked for; NO_SUBJECT where all are."""
    found: torch.Tensor
    """float (B,): 1 where the answer tells something."""
    prompt_ends: tuple[torch.Tensor, torch.Tensor]


@dataclass(slots=True)
class PairBatch:
    """Pairs of frames alone: patches of (pairs) grids, and the subjects int (pairs, 2) of their frames."""

    patches: torch.Tensor
    grids: torch.Tensor
    shown: torch.Tensor


def level_at(progress: float) -> Level:
    """How hard examples are at a share of the joint stage."""
    ramp = min(1.0, progress / RAMP)
    frames = EASIEST.max_frames + ramp * (HARDEST.max_frames - EASIEST.max_frames)
    scenes = EASIEST.max_scenes + ramp * (HARDEST.max_scenes - EASIEST.max_scenes)
    return Level(round(frames), round(scenes))


class JointBatches(Dataset[tuple[Batch, Batch]]):
    """Item k is step k's batch of chunks and its batch of merges."""

    def __init__(self, processor: Any, seed: int, steps: int) -> None:
        self._processor, self._seed, self._steps = processor, seed, steps
        self._sizes = planned_sizes()

    def __len__(self) -> int:
        """Steps of the stage."""
        return self._steps

    def __getitem__(self, step: int) -> tuple[Batch, Batch]:
        """Draw a step's batches."""
        generator = np.random.default_rng([self._seed, 1, step])
        level = level_at(step / self._steps)
        size = self._sizes[generator.integers(len(self._sizes))]
        frames = round(4 + (level.max_frames - 4) * generator.random() ** 0.8)
        chunks: list[Example] = []
        while True:
            chunks.append(chunk_example(generator, self._processor, _about(generator, frames), level, size))
            longest = max(map(length, chunks))
            if longest * (len(chunks) + 1) > VIDEO_TOKENS:
                break
        merges: list[Example] = []
        while sum(map(length, merges)) < TEXT_TOKENS:
            merges.append(merge_example(generator, self._processor))
        tokenizer = self._processor.tokenizer
        return collate(chunks, tokenizer), collate(merges, tokenizer)


class VisionBatches(Dataset[PairBatch]):
    """Item k is step k's batch of pairs."""

    def __init__(self, processor: Any, seed: int, steps: int) -> None:
        self._processor, self._seed, self._steps = processor, seed, steps
        self._sizes = planned_sizes()

    def __len__(self) -> int:
        """Steps of the stage."""
        return self._steps

    def __getitem__(self, step: int) -> PairBatch:
        """Draw a step's pairs."""
        generator = np.random.default_rng([self._seed, 0, step])
        size = self._sizes[generator.integers(len(self._sizes))]
        clips = [clip(generator, VISION_FRAMES, int(generator.integers(4, 9)), size) for _ in range(VISION_CLIPS)]
        videos = [torch.from_numpy(batch.pixels).permute(0, 3, 1, 2) for batch, _ in clips]
        inputs = self._processor.video_processor(
            videos, do_resize=False, do_sample_frames=False, cap_pixels_per_frame=False, return_tensors="pt"
        )
        subjects = [SUBJECTS.index(subject) for _, shown in clips for subject in shown]
        return PairBatch(inputs["pixel_values_videos"], inputs["video_grid_thw"], torch.tensor(subjects).reshape(-1, 2))


def _about(generator: np.random.Generator, frames: int) -> int:
    return max(4, int(generator.integers(frames * 9 // 10, frames + 1)))


def length(example: Example) -> int:
    """Tokens of prompt and answer."""
    return len(example.prompt) + len(example.answer.ids)


def collate(examples: Sequence[Example], tokenizer: Any) -> Batch:
    """Put examples of one frame size, or texts, into one batch."""
    ids = torch.full((len(examples), max(map(length, examples))), tokenizer.pad_token_id)
    answer_places: list[tuple[int, int]] = []
    pointers: list[int] = []
    weights: list[float] = []
    copies: list[tuple[int, int, int]] = []
    for row, example in enumerate(examples):
        ids[row, : length(example)] = torch.tensor(example.prompt + example.answer.ids)
        copies += [(len(pointers) + token, column, number) for token, column, number in copies_of(example)]
        places = range(len(example.prompt) - 1, length(example) - 1)
        answer_places += [(row, place) for place in places]
        weights += [len(places) ** -0.5] * len(places)
        for itself, source in zip(places, example.answer.pointers, strict=True):
            pointers.append(itself if source == NO_SOURCE else example.source_ends[source])
    videos = [example for example in examples if example.grid is not None]
    rows, columns = _places(answer_places)
    return Batch(
        ids=ids,
        kinds=(ids == tokenizer.convert_tokens_to_ids("<|video_pad|>")).int() * 2,
        patches=torch.cat([example.patches for example in videos]) if videos else None,
        grids=torch.cat([example.grid for example in videos]) if videos else None,
        answer_places=(rows, columns),
        answers=ids[rows, columns + 1],
        shares=torch.tensor(weights) / sum(weights),
        pointers=torch.tensor(pointers),
        told=torch.tensor([subject for example in examples for subject in example.answer.told]),
        copies=torch.tensor(copies[:: len(copies) // COPIES + 1], dtype=torch.long).reshape(-1, 3),
        source_ends=_places([(row, column) for row, example in enumerate(examples) for column in example.source_ends]),
        begins=torch.tensor([new for example in examples for new in example.begins], dtype=torch.float32),
        before=torch.tensor([subject for example in examples for subject in example.before], dtype=torch.long),
        stamps=torch.tensor([stamp for example in examples for stamp in example.stamps], dtype=torch.long).reshape(
            -1, 2
        ),
        shown=torch.tensor([pair for example in examples for pair in example.shown], dtype=torch.long).reshape(-1, 2),
        wanted=torch.tensor([example.wanted for example in examples]),
        found=torch.tensor([float(example.answer.pointers[0] != NO_SOURCE) for example in examples]),
        prompt_ends=_places([(row, len(example.prompt) - 1) for row, example in enumerate(examples)]),
    )


def copies_of(example: Example) -> list[tuple[int, int, int]]:
    """What the numbers of an answer would be if its lines were copied from any of the sources, see Batch.copies."""
    copies = []
    for token, (number, source) in enumerate(zip(example.answer.ids, example.answer.pointers, strict=True)):
        if source == NO_SOURCE or number not in example.stamps[source]:
            continue
        part = example.stamps[source].index(number)
        short = example.stamps[source][0] == IGNORED  # its first number is the last one, too
        copies += [
            (token, end, stamp[part])
            for end, stamp in zip(example.source_ends, example.stamps, strict=True)
            if (stamp[0] == IGNORED) == short
        ]
    return copies


def mixed_pairs(patches: torch.Tensor, grids: torch.Tensor, shown: torch.Tensor, most: int) -> PairBatch:
    """New pairs of the same frames, most of them with two subjects, which are rare and hard to read in a clip.

    Args:
        patches: (N, channels * frames * pixels) of pairs that all have one size.
        grids: of the pairs' videos.
        shown: int (pairs, 2).
        most: how many new pairs to make at most.
    """
    pairs = len(shown)
    frames = patches.view(pairs, -1, CHANNELS, TEMPORAL, PATCH_PX**2)
    mixed = torch.stack([frames[..., 0, :], frames[..., 1, :].roll(pairs // 2, 0)], -2)[:most]
    grid = grids[:1].clone()
    grid[0, 0] = len(mixed)
    subjects = torch.stack([shown[:, 0], shown[:, 1].roll(pairs // 2)], 1)[:most]
    return PairBatch(mixed.reshape(-1, patches.shape[1]), grid, subjects)


def _places(pairs: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(1)
    return rows, columns


def colour_and_shape(subjects: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split subject indices into colour and shape indices; no subject is a colour and a shape of its own."""
    none = subjects == len(SUBJECTS)
    shapes = len(SHAPES)
    return subjects // shapes, torch.where(none, shapes, subjects % shapes)
