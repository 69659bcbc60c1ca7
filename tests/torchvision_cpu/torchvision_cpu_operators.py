"""Declares `torchvision::nms` and `torchvision::qnms`, which nothing here calls."""

import torch


def declare() -> None:
    """Define the schemas that `import torchvision` looks up (vision/torchvision/_meta_registrations.py)."""
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
