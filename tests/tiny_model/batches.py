"""Batches of training examples. Each is a pure function of its step, which lets training resume where it stopped."""

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
"""Upper bound for a step's batch of chunks, padding included; lower bound for its batch of merges."""
VISION_CLIPS, VISION_FRAMES = 12, 16
CHANNELS = 3
EASIEST, HARDEST = Level(12, 2), Level(120, 5)
COPIES = 512
"""Upper bound for the copies used of one batch."""
RAMP = 0.35
"""The share of the joint stage after which the examples are of the hardest level."""


@dataclass(slots=True)
class Batch:
    """Examples with one frame size, or text examples, padded on the right. Places are (rows, columns) of `ids`."""

    ids: torch.Tensor
    """int (B, L)."""
    kinds: torch.Tensor
    """int (B, L): Hugging Face's mm_token_type_ids, 2 for a video token, else 0."""
    patches: torch.Tensor | None
    grids: torch.Tensor | None
    answer_places: tuple[torch.Tensor, torch.Tensor]
    """The places at which the tokens of answers are predicted."""
    answers: torch.Tensor
    shares: torch.Tensor
    """float (answer tokens,): the weight of each in the loss, with sum 1. An example's weight is proportional to the
    square root of its number of tokens."""
    pointers: torch.Tensor
    """int (answer tokens,): the column of the end of the source that the token is copied from, or its own column if
    there is none."""
    told: torch.Tensor
    """int (answer tokens,): the subject of the last line that is complete before the token."""
    copies: torch.Tensor
    """int (copies, 3): the index of an answer token that is a number, the column of the end of any source, and the
    token id that copying from that source would give."""
    source_ends: tuple[torch.Tensor, torch.Tensor]
    begins: torch.Tensor
    before: torch.Tensor
    stamps: torch.Tensor
    """int (sources, 2)."""
    shown: torch.Tensor
    """int (pairs, 2)."""
    wanted: torch.Tensor
    """int (B,): the subject that is asked for; NO_SUBJECT if the question asks for all."""
    found: torch.Tensor
    """float (B,): 1 if the answer has at least one line, 0 if it is `not seen`."""
    prompt_ends: tuple[torch.Tensor, torch.Tensor]


@dataclass(slots=True)
class PairBatch:
    """Pairs of frames without text: their patches and grids, and the subjects of their frames, int (pairs, 2)."""

    patches: torch.Tensor
    grids: torch.Tensor
    shown: torch.Tensor


def level_at(progress: float) -> Level:
    """Return how hard examples are after a share of the joint stage, 0 to 1."""
    ramp = min(1.0, progress / RAMP)
    frames = EASIEST.max_frames + ramp * (HARDEST.max_frames - EASIEST.max_frames)
    scenes = EASIEST.max_scenes + ramp * (HARDEST.max_scenes - EASIEST.max_scenes)
    return Level(round(frames), round(scenes))


class JointBatches(Dataset[tuple[Batch, Batch]]):
    """Item k is the batch of chunks and the batch of merges of step k."""

    def __init__(self, processor: Any, seed: int, steps: int) -> None:
        self._processor, self._seed, self._steps = processor, seed, steps
        self._sizes = planned_sizes()

    def __len__(self) -> int:
        """The number of steps of the stage."""
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
    """Item k is the batch of frame pairs of step k."""

    def __init__(self, processor: Any, seed: int, steps: int) -> None:
        self._processor, self._seed, self._steps = processor, seed, steps
        self._sizes = planned_sizes()

    def __len__(self) -> int:
        """The number of steps of the stage."""
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
    """The number of tokens of prompt and answer."""
    return len(example.prompt) + len(example.answer.ids)


def collate(examples: Sequence[Example], tokenizer: Any) -> Batch:
    """Combine examples with one frame size, or text examples, into a batch."""
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
    """Return, for the numbers of an answer, what copying them from any source would give; see Batch.copies."""
    copies = []
    for token, (number, source) in enumerate(zip(example.answer.ids, example.answer.pointers, strict=True)):
        if source == NO_SOURCE or number not in example.stamps[source]:
            continue
        part = example.stamps[source].index(number)
        short = example.stamps[source][0] == IGNORED  # the time has one token
        copies += [
            (token, end, stamp[part])
            for end, stamp in zip(example.source_ends, example.stamps, strict=True)
            if (stamp[0] == IGNORED) == short
        ]
    return copies


def mixed_pairs(patches: torch.Tensor, grids: torch.Tensor, shown: torch.Tensor, most: int) -> PairBatch:
    """Combine the frames to new pairs. Most show two subjects, which is rare in a clip and hard to read.

    Args:
        patches: (N, channels * frames * pixels), of pairs that all have the same size.
        grids: the grids of the videos that the pairs are from.
        shown: the subjects of the frames, int (pairs, 2).
        most: upper bound for the number of new pairs.
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
    """Split subject indices into colour and shape indices. NO_SUBJECT has its own colour index and shape index."""
    none = subjects == len(SUBJECTS)
    shapes = len(SHAPES)
    return subjects // shapes, torch.where(none, shapes, subjects % shapes)
