"""Whether this machine can answer jobs, told before the first one comes and without touching CUDA.

A CUDA context in this process would take GPU memory from the engine, which is a process of its own.
"""

import asyncio
import json
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from config import Settings
from errors import MediaError
from frame_extractor import NVIDIA_DEVICE
from frames.reader_pool import PROBE
from limits.free_memory import free_memory_bytes
from sandbox.process import Reader

GIB = 2**30
MIN_FREE_DISK_BYTES = GIB
MIN_FREE_MEMORY_BYTES = 2 * GIB
"""Without a GPU the weights come on top; the engine says so itself."""
MEDIA_TIMEOUT_S = 30.0
INDEX_FILE = "model.safetensors.index.json"
"""In which file each weight is, if there are several."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    is_fit: bool
    sentence: str


async def examine(settings: Settings) -> list[Finding]:
    """Run all checks; none raises."""
    checks = {"ffmpeg": _ffmpeg, "disk": _disk, "memory": _memory, "GPU": _gpu, "model": _model}
    findings = [Finding(name, *check(settings)) for name, check in checks.items()]
    return [*findings, Finding("video reader", *await _video_reader())]


def _ffmpeg(_settings: Settings) -> tuple[bool, str]:
    path = shutil.which("ffmpeg")
    return path is not None, path or "ffmpeg is not installed."


def _disk(settings: Settings) -> tuple[bool, str]:
    existing = next(path for path in (settings.work_dir, *settings.work_dir.parents) if os.access(path, os.F_OK))
    if not os.access(existing, os.W_OK):
        return False, "WORK_DIR is not writable."
    free_bytes = shutil.disk_usage(existing).free
    return free_bytes >= MIN_FREE_DISK_BYTES, f"{free_bytes / GIB:.1f} GiB free for WORK_DIR; 1 GiB is needed"


def _memory(_settings: Settings) -> tuple[bool, str]:
    free_bytes = free_memory_bytes()
    return free_bytes >= MIN_FREE_MEMORY_BYTES, f"{free_bytes / GIB:.1f} GiB available; 2 GiB are needed"


def _gpu(_settings: Settings) -> tuple[bool, str]:
    try:
        version("vllm")
    except PackageNotFoundError:
        return True, "not needed: this vLLM is built for the CPU"
    if NVIDIA_DEVICE.exists():
        return True, "NVIDIA's driver is there"
    return False, "NVIDIA's driver is not there: start the container with a GPU."


def _model(settings: Settings) -> tuple[bool, str]:
    directory = Path(settings.model_name)
    if directory.is_dir():
        is_fit = os.access(directory / "config.json", os.R_OK) and any(directory.glob("*.safetensors"))
        return is_fit, "MODEL_NAME is a directory with" + ("" if is_fit else "out") + " config.json and safetensors"
    if directory.is_absolute():
        return False, "MODEL_NAME is a directory that does not exist."
    from huggingface_hub import constants, try_to_load_from_cache

    def cached(file: str) -> str | None:
        path = try_to_load_from_cache(settings.model_name, file)
        return path if isinstance(path, str) else None

    index = cached(INDEX_FILE)
    weights = set(json.loads(Path(index).read_text())["weight_map"].values()) if index else {"model.safetensors"}
    if all(map(cached, ["config.json", *weights])):
        return True, "in the cache of Hugging Face"
    if constants.HF_HUB_OFFLINE:
        return False, "MODEL_NAME is not whole in the cache of Hugging Face, and HF_HUB_OFFLINE forbids to fetch it."
    return True, "will be fetched from Hugging Face with the first job"


async def _video_reader() -> tuple[bool, str]:
    try:
        with Reader(PROBE, MEDIA_TIMEOUT_S) as scanner:
            scanner.begin(Path(os.devnull), os.devnull)
            output = await asyncio.to_thread(scanner.read_all)
    except (MediaError, OSError) as exc:
        return False, f"The process that reads videos does not run: {exc}"
    return json.loads(output) == {"refused": "unreadable"}, "its processes run"
