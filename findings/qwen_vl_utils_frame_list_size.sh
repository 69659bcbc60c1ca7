#!/usr/bin/env bash
# qwen-vl-utils gives a film another frame size when it comes as a list of its frames than when it comes as a file.
#
# Guess: One would expect that frames which one has sampled oneself, given as a list, are resized by the same rule as
# those of the file: to the nearest multiples of 32 (patch 16 times merge 2, for Qwen3-VL) within the limits.
#
# Behaviour: frames of a list pass through fetch_image first, which is given the factor of 32 in the place of the patch
# size of 16 and multiplies it by 2 again. They are rounded to multiples of 64, and enlarged or shrunk by the limits of
# *single images* in between, then resized again by the rule for videos. 854x480 becomes 864x480 from a file and 832x512
# from a list: another shape, resampled twice, and another number of tokens. A model that is tried on a file and served
# with a list sees other frames.
#
# Source: the README of qwen-vl-utils and the model card of Qwen3-VL list both forms of input as equal, and ask for
# image_patch_size=16 alone. In vision_process.py, fetch_video calls fetch_image with its image_factor.
#
# Versions: qwen-vl-utils 0.0.14, decord 0.6.0, torch 2.13.0 (CPU), torchvision 0.28.0, NumPy 2.3.5, Debian 12
# ffmpeg 5.1.9 (makes the films). Date: 2026-12-01.
# Output seen (width x height):
#   640x360 as a file 640x352, as a list 640x384
#   854x480 as a file 864x480, as a list 832x512
#   480x270 as a file 512x288, as a list 512x256
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check qwen-vl-utils==0.0.14 decord==0.6.0 torch==2.13.0 \
    torchvision==0.28.0 numpy==2.3.5
ffmpeg -version | sed -n 1p
for size in 640x360 854x480 480x270; do
    ffmpeg -nostdin -v error -f lavfi -i "testsrc2=s=$size:r=25:d=2" -c:v libx264 -threads 1 -pix_fmt yuv420p \
        "$size.mp4"
done

FORCE_QWENVL_VIDEO_READER=decord venv/bin/python - <<'PYTHON'
import sys

import torch

try:
    import torchvision
except RuntimeError:  # torchvision for CUDA beside torch for the CPU: declare the two operators it looks for
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
from PIL import Image
from qwen_vl_utils.vision_process import fetch_video

sizes = {}
for width, height in ((640, 360), (854, 480), (480, 270)):
    of_file = fetch_video({"video": f"{width}x{height}.mp4"}, image_patch_size=16)
    frames = [Image.new("RGB", (width, height))] * len(of_file)
    of_list = fetch_video({"video": frames}, image_patch_size=16)
    sizes[width, height] = tuple(of_file.shape[:1:-1]), tuple(of_list.shape[:1:-1])
    as_file, as_list = (f"{wide}x{high}" for wide, high in sizes[width, height])
    print(f"{width}x{height} as a file {as_file}, as a list {as_list}")
assert sizes[640, 360] == ((640, 352), (640, 384))
assert sizes[854, 480] == ((864, 480), (832, 512))
assert sizes[480, 270] == ((512, 288), (512, 256))
PYTHON
echo "finding holds"
