"""`make tiny-model`: trains the tiny model from scratch, in 90 minutes on two cores; see checkpoint/README.md."""

import argparse
import os
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
from tiny_model.batches import Batch, JointBatches, VisionBatches, collate
from tiny_model.examples import Level, chunk_example, planned_sizes
from tiny_model.learner import Learner
from tiny_model.merges import merge_example
from tiny_model.training import SEED, STAGES, Training

GUIDE_WEIGHTS = (1.0, 0.3)
"""Weight of the guides' loss at the beginning and at the end of the joint stage."""
SAVE_EVERY, SCORE_EVERY, PRINT_EVERY = 100, 200, 25
HELD_OUT = {"4-16 frames": (16, 2), "17-60 frames": (60, 5), "61-120 frames": (120, 5)}
HELD_OUT_CLIPS = 24


def train_vision(training: Training) -> None:
    """Train the vision tower alone to read what frames show."""
    started_s = time.monotonic()
    for batch in training.batches(VisionBatches(training.processor, SEED, STAGES["vision"])):
        loss = training.learner.vision_loss(batch)
        training.update(loss)
        if training.step % SAVE_EVERY == 0:
            training.say(
                f"vision {training.step}/{STAGES['vision']}  loss {loss:.3f}  {time.monotonic() - started_s:.0f} s"
            )
            training.save()
    training.stage, training.step = "joint", 0
    for optimiser in training.optimisers:
        optimiser.state.clear()


def train_joint(training: Training) -> None:
    """Train the whole model to answer."""
    held_out = held_out_batches(training.processor)
    started_s, first_step = time.monotonic(), training.step
    recent: list[tuple[float, float, float]] = []
    for chunks, merges in training.batches(JointBatches(training.processor, SEED, STAGES["joint"])):
        share = training.step / STAGES["joint"]
        chunk_loss, chunk_guide, _ = training.learner.losses(chunks)
        merge_loss, merge_guide, _ = training.learner.losses(merges)
        weight = GUIDE_WEIGHTS[0] + share * (GUIDE_WEIGHTS[1] - GUIDE_WEIGHTS[0])
        training.update(chunk_loss + merge_loss / 3 + weight * (chunk_guide + merge_guide / 3))
        recent.append((chunk_loss.item(), merge_loss.item(), chunk_guide.item()))
        if training.step % PRINT_EVERY == 0:
            chunk_mean, merge_mean, guide_mean = np.mean(recent, axis=0)
            recent.clear()
            pace_s = (time.monotonic() - started_s) / (training.step - first_step)
            training.say(
                f"joint {training.step}/{STAGES['joint']}  chunks {chunk_mean:.3f}  merges {merge_mean:.3f}  "
                f"guide {guide_mean:.3f}  {pace_s:.2f} s a step"
            )
        if training.step % SAVE_EVERY == 0:
            training.save()
        if training.step % SCORE_EVERY == 0:
            training.say("  exact on held-out: " + scores(training.learner, held_out))
    training.say("exact on held-out: " + scores(training.learner, held_out))


def held_out_batches(processor: Any) -> dict[str, list[Batch]]:
    """Draw examples that are never used for training, one per batch."""
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
                        Level(max_frames, max_scenes),
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
    """Return the shares of exact answers, in which each token is the most likely one after the right ones before it."""
    parts = []
    for name, batches in held_out.items():
        exact = sum(bool(learner.losses(batch)[2].all()) for batch in batches)
        parts.append(f"{name} {exact / len(batches):.2f}")
    return ", ".join(parts)


def main() -> None:
    """Start or resume the training, and write the checkpoint."""
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
    if training.stage == "vision":
        train_vision(training)
    train_joint(training)
    save_checkpoint(training.learner.plain_model(), processor, arguments.output)
    training.finish(arguments.output)


if __name__ == "__main__":
    main()
