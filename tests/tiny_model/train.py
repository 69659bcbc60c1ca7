"""`make tiny-model`: train the tiny model from nothing, in two hours on two cores; README.md of the checkpoint."""

import argparse
import os
import shutil
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from tiny_model.environment import CHECKPOINT, ENGINE_ENVIRONMENT

os.environ |= ENGINE_ENVIRONMENT  # before torch is imported

import numpy as np
import torch
import transformers

from tiny_model.architecture import build_processor, save_checkpoint
from tiny_model.batches import HARDEST, MOSTLY_LISTS, AnswerBatches, Batch, VisionBatches, collate, level_at
from tiny_model.examples import Level, chunk_example, merge_example, planned_sizes
from tiny_model.learner import Learner
from tiny_model.training import SEED, STAGES, Training

GUIDE_WEIGHTS = {"joint": (1.0, 0.1), "copying": (0.5, 0.1)}
"""Of the guides' loss, at the beginning and the end of a stage."""
SAVE_EVERY, SCORE_EVERY, PRINT_EVERY = 100, 200, 25
HELD_OUT = {"1-16 frames": (16, 2), "17-60 frames": (60, 5), "61-120 frames": (120, 5)}
HELD_OUT_CLIPS = 24


def train_vision(training: Training) -> None:
    """Teach the vision tower alone what frames show."""
    steps, started_s = STAGES["vision"].steps, time.monotonic()
    for batch in training.batches(VisionBatches(training.processor, SEED, steps)):
        loss = training.learner.vision_loss(batch)
        training.update(loss)
        if training.step % SAVE_EVERY == 0:
            training.say(f"vision {training.step}/{steps}  loss {loss:.3f}  {time.monotonic() - started_s:.0f} s")
            training.save()


def train_joint(training: Training) -> None:
    """Teach the whole model to answer, with examples that grow."""
    batches = AnswerBatches(training.processor, (SEED, 1), STAGES["joint"].steps, level_at)
    _train_answers(training, batches)


def train_copying(training: Training) -> None:
    """Teach the last layer to copy with all its heads; two carry too little of a number."""
    training.learner.pointing_heads = 4
    batches = AnswerBatches(training.processor, (SEED, 4), STAGES["copying"].steps, lambda _share: MOSTLY_LISTS)
    _train_answers(training, batches)


def _train_answers(training: Training, batches: AnswerBatches) -> None:
    held_out = held_out_batches(training.processor)
    stage, steps = training.stage, len(batches)
    first_weight, last_weight = GUIDE_WEIGHTS[stage]
    started_s, first_step = time.monotonic(), training.step
    recent: list[tuple[float, float, float]] = []
    for chunks, merges in training.batches(batches):
        share = training.step / steps
        chunk_loss, chunk_guide, _ = training.learner.losses(chunks)
        merge_loss, merge_guide, _ = training.learner.losses(merges)
        weight = first_weight + share * (last_weight - first_weight)
        training.update(chunk_loss + merge_loss / 3 + weight * (chunk_guide + merge_guide / 3))
        recent.append((chunk_loss.item(), merge_loss.item(), chunk_guide.item()))
        if training.step % PRINT_EVERY == 0:
            chunk_mean, merge_mean, guide_mean = np.mean(recent, axis=0)
            recent.clear()
            pace_s = (time.monotonic() - started_s) / (training.step - first_step)
            training.say(
                f"{stage} {training.step}/{steps}  chunks {chunk_mean:.3f}  merges {merge_mean:.3f}  "
                f"guide {guide_mean:.3f}  {pace_s:.2f} s a step"
            )
        if training.step % SAVE_EVERY == 0:
            training.save()
        if training.step % SCORE_EVERY == 0 or training.step == steps:
            training.say("  exact on held-out: " + scores(training.learner, held_out))


def held_out_batches(processor: Any) -> dict[str, list[Batch]]:
    """Examples that are never trained on, one a batch."""
    sizes = planned_sizes()
    sets: dict[str, list[Batch]] = {}
    shortest = 4
    for group, (name, (max_frames, max_scenes)) in enumerate(HELD_OUT.items()):
        generator = np.random.default_rng([SEED, 2, group])
        sets[name] = [
            collate(
                [
                    chunk_example(
                        generator,
                        processor,
                        int(generator.integers(shortest, max_frames + 1)),
                        Level(max_frames, max_scenes, HARDEST.search_share),
                        sizes[index % len(sizes)],
                    )
                ],
                processor.tokenizer,
            )
            for index in range(HELD_OUT_CLIPS)
        ]
        shortest = max_frames + 1
    generator = np.random.default_rng([SEED, 3])
    sets["merges"] = [
        collate([merge_example(generator, processor)], processor.tokenizer) for _ in range(HELD_OUT_CLIPS)
    ]
    return sets


@torch.no_grad()
def scores(learner: Learner, held_out: dict[str, list[Batch]]) -> str:
    """Shares of examples answered exactly: every token is the likeliest after the right ones before it."""
    parts = []
    for name, batches in held_out.items():
        exact = sum(bool(learner.losses(batch)[2].all()) for batch in batches)
        parts.append(f"{name} {exact / len(batches):.2f}")
    return ", ".join(parts)


def main() -> None:
    """Train, or go on training, and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=CHECKPOINT)
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".cache" / "tiny_model_training", help="state to resume from"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(SEED)
    processor = build_processor()
    training = Training(processor, arguments.work)
    training.say(f"{training.stage} from step {training.step}, {datetime.now(UTC).date()}, torch {torch.__version__}")
    programs = {"vision": train_vision, "joint": train_joint, "copying": train_copying}
    for stage in list(programs)[list(programs).index(training.stage) :]:
        if stage != training.stage:
            training.enter(stage)
        programs[stage](training)
    save_checkpoint(training.learner.plain_model(), processor, arguments.output)
    shutil.copy(training.log, arguments.output)


if __name__ == "__main__":
    main()
