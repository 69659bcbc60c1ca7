"""A machine that cannot answer jobs is reported before the first job, to people and to the platform."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from ops import fitness
from runpod_stand_in import RunPodStandIn
from tiny_model.environment import CHECKPOINT, environment

HANDLER = Path(__file__).parents[2] / "src" / "handler.py"
NO_DIRECTORY = "MODEL_NAME is a directory that does not exist."
NAMES = ["ffmpeg", "disk", "memory", "sandbox", "GPU", "model", "video reader"]


async def faults(**settings: Any) -> dict[str, str]:
    findings = await fitness.examine(Settings(**({"model_name": str(CHECKPOINT), **settings})))
    assert [finding.name for finding in findings] == NAMES
    return {finding.name: finding.sentence for finding in findings if not finding.is_fit}


async def test_this_machine_is_fit() -> None:
    assert await faults() == {}


@pytest.mark.parametrize(
    ("settings", "name", "sentence"),
    [
        ({"model_name": "/nowhere"}, "model", NO_DIRECTORY),
        ({"model_name": "/usr"}, "model", "MODEL_NAME is a directory without config.json and safetensors"),
        ({"work_dir": Path("/proc/1/jobs")}, "disk", "0.0 GiB free for WORK_DIR; 1 GiB is needed"),
    ],
)
async def test_an_unusable_setting_is_named(settings: dict[str, object], name: str, sentence: str) -> None:
    found = await faults(**settings)
    assert found.keys() == {name}
    assert found[name] in (sentence, "WORK_DIR is not writable.")


@pytest.mark.usefixtures("untried_layers")
@pytest.mark.parametrize("is_required", [False, True])
async def test_a_missing_layer_of_the_sandbox_is_named_and_is_a_fault_where_it_is_required(
    monkeypatch: pytest.MonkeyPatch, *, is_required: bool
) -> None:
    monkeypatch.setattr("sandbox.landlock.abi_version", lambda: 0)
    settings = Settings(model_name=str(CHECKPOINT), require_sandbox=is_required)

    (finding,) = [finding for finding in await fitness.examine(settings) if finding.name == "sandbox"]

    assert finding.sentence == "video readers run without: no other files"
    assert finding.is_fit is not is_required


@pytest.mark.usefixtures("untried_layers")
async def test_everything_that_the_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fitness, "MIN_FREE_MEMORY_BYTES", 2**60)
    monkeypatch.setattr(fitness, "version", lambda _package: "0.32.0")
    monkeypatch.setattr(fitness, "NVIDIA_DEVICE", tmp_path / "nvidiactl")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert shutil.which("ffmpeg") is None
    assert (await faults()).keys() == {"ffmpeg", "memory", "GPU", "video reader"}


async def test_a_model_that_may_not_be_downloaded_has_to_be_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert await faults(model_name="some/model") == {}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert (await faults(model_name="some/model")).keys() == {"model"}


async def test_a_cached_model_has_to_be_complete(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--some--model"
    snapshot = model / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0123")
    for name in ("config.json", "model-1.safetensors"):
        (snapshot / name).write_text("{}")
    (snapshot / fitness.INDEX_FILE).write_text(
        '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    )
    assert (await faults(model_name="some/model")).keys() == {"model"}

    (snapshot / "model-2.safetensors").write_text("{}")
    assert await faults(model_name="some/model") == {}


def test_the_check_option_prints_a_line_for_each_check() -> None:
    settings = environment() | {"PATH": "/usr/bin:/bin", "MODEL_NAME": "/nowhere"}
    checked = subprocess.run(
        [sys.executable, HANDLER, "--check"], env=settings, capture_output=True, text=True, check=False
    )
    lines = checked.stdout.splitlines()
    assert (checked.returncode, len(lines)) == (1, len(NAMES))
    assert [line for line in lines if not line.startswith("ok ")] == [f"FAULT  model         {NO_DIRECTORY}"]


def test_an_unfit_worker_tells_the_platform_why_and_ends() -> None:
    command, settings = [sys.executable, str(HANDLER)], environment() | {"MODEL_NAME": "/nowhere"}
    with RunPodStandIn() as platform, platform.worker_process(command, environment=settings) as process:
        assert process.wait(timeout=60) == 1
        unhealthy = platform.worker().unhealthy
    assert unhealthy == {"check": "fitness", "reason": f"RuntimeError: model: {NO_DIRECTORY}"}
