"""What can be known of a model before it is loaded: which one it is, how large it is, and how much is still to come."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
"""Names the weight files of a checkpoint that has several."""
SINGLE_WEIGHTS_FILE = "model.safetensors"
WEIGHTS_SUFFIX = ".safetensors"
SERVED = ("Qwen3VLForConditionalGeneration", "Qwen3VLMoeForConditionalGeneration")
"""The architectures whose prompts and frame sizes this worker knows, as config.json names them."""
HUB_TIMEOUT_S = 10.0
MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""


class CheckpointFault(Exception):
    """Why a model cannot be served, as a sentence."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's facts."""

    place: str
    """Where it is, in words."""
    architecture: str
    weights_bytes: int
    """Of the files."""
    parameters: int
    """Numbers in the weights, whatever their type."""
    download_bytes: int = 0
    """What the first job has to fetch."""

    @property
    def is_served(self) -> bool:
        """Whether this worker knows the architecture."""
        return self.architecture in SERVED


def find_checkpoint(model_name: str) -> Checkpoint:
    """Find a model in a directory, in the cache of Hugging Face, or on the Hub, which is asked only for the third.

    Raises:
        CheckpointFault: it is in none of them.
    """
    directory = Path(model_name)
    if directory.is_dir():
        weights = sorted(directory.glob(f"*{WEIGHTS_SUFFIX}"))
        if not os.access(directory / CONFIG_FILE, os.R_OK) or not weights:
            raise CheckpointFault("MODEL_NAME is a directory without config.json and safetensors.")
        return _on_disk("in the directory MODEL_NAME", directory / CONFIG_FILE, weights)
    if directory.is_absolute():
        raise CheckpointFault("MODEL_NAME is a directory that does not exist.")
    from huggingface_hub.errors import HFValidationError

    try:
        return _cached(model_name) or _on_the_hub(model_name)
    except HFValidationError as exc:
        raise CheckpointFault("MODEL_NAME is neither a directory nor a model id of the form owner/name.") from exc


def _on_disk(place: str, config: Path, weights: Iterable[Path]) -> Checkpoint:
    weights = list(weights)
    try:
        parameters = sum(map(_count_parameters, weights))
        weights_bytes = sum(path.stat().st_size for path in weights)
        return Checkpoint(place, _architecture(json.loads(config.read_bytes())), weights_bytes, parameters)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise CheckpointFault("The model's files cannot be read: they are damaged or of another format.") from exc


def _count_parameters(path: Path) -> int:
    """Count a file's numbers from its header: 8 bytes of length, little-endian, and JSON with a shape for each tensor.

    An FP8 checkpoint's scales count too; they are a few thousandths.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {length} bytes")
        header = json.loads(file.read(length))
    return sum(prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _architecture(config: dict[str, Any] | None) -> str:
    architectures = (config or {}).get("architectures") or ["unknown"]
    return str(architectures[0])


def _cached(model_id: str) -> Checkpoint | None:
    """Return the model if its configuration and every weight file are in the cache of Hugging Face."""
    from huggingface_hub import try_to_load_from_cache

    def cached(file: str) -> Path | None:
        path = try_to_load_from_cache(model_id, file)
        return Path(path) if isinstance(path, str) else None

    names = {SINGLE_WEIGHTS_FILE}
    if index := cached(INDEX_FILE):
        names = set(json.loads(index.read_text())["weight_map"].values())
    config, weights = cached(CONFIG_FILE), [cached(name) for name in sorted(names)]
    found = [path for path in weights if path]
    if config is None or len(found) < len(names):
        return None
    return _on_disk("in the cache of Hugging Face", config, found)


def _on_the_hub(model_id: str) -> Checkpoint:
    """Ask the Hub what the first job would fetch.

    Raises:
        CheckpointFault: the Hub may not be asked, does not answer, or does not have the model.
    """
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError

    if constants.HF_HUB_OFFLINE:
        raise CheckpointFault(
            "MODEL_NAME is not whole in the cache of Hugging Face, and HF_HUB_OFFLINE forbids to fetch it."
        )
    try:
        info = HfApi().model_info(model_id, files_metadata=True, timeout=HUB_TIMEOUT_S)
    except HfHubHTTPError as exc:
        status = exc.response.status_code
        raise CheckpointFault(
            f"Hugging Face answered with HTTP status {status}: check MODEL_NAME, and HF_TOKEN if the model is gated."
        ) from exc
    except (HTTPError, OSError) as exc:
        raise CheckpointFault(
            "MODEL_NAME is not in the cache of Hugging Face, and the Hub cannot be reached to fetch it."
        ) from exc
    weights_bytes = sum(file.size or 0 for file in info.siblings or () if file.rfilename.endswith(WEIGHTS_SUFFIX))
    parameters = info.safetensors.total if info.safetensors else 0
    place = f"will be fetched from Hugging Face with the first job, {weights_bytes / 1e9:.1f} GB"
    return Checkpoint(place, _architecture(info.config), weights_bytes, parameters, download_bytes=weights_bytes)
