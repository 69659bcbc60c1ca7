"""The state of a training run, which is saved to disk and can be resumed."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Subset

from tiny_model.architecture import build_model
from tiny_model.learner import Learner
from tiny_model.optimiser import Muon

SEED = 20251125
STAGES = {"vision": 2400, "joint": 3000}
"""Steps of each stage."""
MUON_LR, ADAM_LR = 0.02, 2e-3
WARM_UP_STEPS, LAST_LR = 30, 0.02


class Training:
    """The learner, its optimisers, the stage and the step."""

    def __init__(self, processor: Any, directory: Path) -> None:
        self.processor = processor
        self.file, self.log = directory / "state.pt", directory / "training.log"
        directory.mkdir(parents=True, exist_ok=True)
        self.learner = Learner(build_model(processor.tokenizer, SEED))
        self.stage, self.step = "vision", 0
        self.optimisers = self._optimisers()
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            self.learner.load_state_dict(state["learner"])
            self.stage, self.step = state["stage"], state["step"]
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)

    def _optimisers(self) -> tuple[torch.optim.Optimizer, ...]:
        matrices: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, weight in self.learner.named_parameters():
            hidden = ".layers." in name or ".blocks." in name or "merger" in name
            (matrices if hidden and weight.ndim == 2 else rest).append(weight)
        return Muon(matrices, lr=MUON_LR), torch.optim.AdamW(rest, lr=ADAM_LR, betas=(0.9, 0.95), weight_decay=0.0)

    def save(self) -> None:
        """Save everything that the next steps depend on."""
        state = {
            "learner": self.learner.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "stage": self.stage,
            "step": self.step,
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self.file)

    def say(self, line: str) -> None:
        """Print a line at once, and append it to the log."""
        print(line, flush=True)
        with self.log.open("a") as log:
            log.write(f"{line}\n")

    def finish(self, directory: Path) -> None:
        """Move the log to the checkpoint and delete the saved state: the next training starts from scratch."""
        shutil.move(self.log, directory / self.log.name)
        self.file.unlink()

    def update(self, loss: torch.Tensor) -> None:
        """Make one optimiser step on the loss."""
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        share = self.step / STAGES[self.stage]
        scale = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        scale *= LAST_LR + (1 - LAST_LR) * (1 + math.cos(math.pi * share)) / 2
        for optimiser, lr in zip(self.optimisers, (MUON_LR, ADAM_LR), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = lr * scale
            optimiser.step()
        self.step += 1

    def batches(self, dataset: Dataset[Any]) -> Iterator[Any]:
        """Iterate over the remaining batches of the stage, which are made in another process."""
        rest = Subset(dataset, range(self.step, STAGES[self.stage]))
        return iter(DataLoader(rest, batch_size=None, num_workers=1, prefetch_factor=8))
