#!/usr/bin/env bash
# The times that Qwen3-VL is told of a film of variable rate are not those at which its frames are shown.
#
# Guess: One would expect that qwen-vl-utils samples evenly in *time* (the request says fps=2), and that the metadata it
# returns for the model's processor says when the sampled frames are shown: the model was trained on such times.
#
# Behaviour: frames are chosen evenly by *number*, and their times are told as number / average rate. In a film with 5
# pictures a second at first and 25 later (a screen recording, a phone's film in the dark) the frame of 4.8 s is told
# as 1.6 s, and the first half of the film gets 4 frames where it should get 10. Nothing in the result carries the
# file's real times.
#
# Source: the README of qwen-vl-utils documents fps as the rate of sampling; Qwen3-VL's processor in transformers
# computes the time in its prompt as frames_indices / fps of this metadata. In vision_process.py all readers use
# linspace over the number of frames.
#
# Versions: qwen-vl-utils 0.0.14, decord 0.6.0, torch 2.13.0 (CPU), torchvision 0.28.0, NumPy 2.3.5, Debian 12
# ffmpeg 5.1.9 (makes the film). Date: 2026-12-01.
# Output seen:
#   told  0.00 0.53 1.07 1.60 2.07 2.60 3.13 3.67 4.20 4.73 5.20 5.73 6.27 6.80 7.33 7.87 8.33 8.87 9.40 9.93
#   shown 0.00 1.60 3.20 4.80 5.24 5.56 5.88 6.20 6.52 6.84 7.12 7.44 7.76 8.08 8.40 8.72 9.00 9.32 9.64 9.96
#   wrong by up to 3.20 s
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check qwen-vl-utils==0.0.14 decord==0.6.0 torch==2.13.0 \
    torchvision==0.28.0 numpy==2.3.5
ffmpeg -version | sed -n 1p
ffmpeg -nostdin -v error -f lavfi -i testsrc2=s=320x180:r=25:d=10 -fps_mode vfr \
    -vf "select='lt(t,5)*not(mod(n,5))+gte(t,5)'" -c:v libx264 -threads 1 -bf 0 -g 50 -pix_fmt yuv420p film.mp4

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
import decord
from qwen_vl_utils.vision_process import fetch_video

_, metadata = fetch_video({"video": "film.mp4", "fps": 2.0}, image_patch_size=16, return_video_metadata=True)
reader = decord.VideoReader("film.mp4")
told = [index / metadata["fps"] for index in metadata["frames_indices"]]
shown = [float(reader.get_frame_timestamp(index)[0]) for index in metadata["frames_indices"]]
print("told ", *(f"{time:.2f}" for time in told))
print("shown", *(f"{time:.2f}" for time in shown))
worst = max(abs(one - other) for one, other in zip(told, shown))
print(f"wrong by up to {worst:.2f} s")
assert set(metadata) == {"fps", "frames_indices", "total_num_frames", "video_backend"}
assert worst > 3
assert sum(time < 5 for time in shown) == 4
PYTHON
echo "finding holds"
