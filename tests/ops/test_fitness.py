"""A machine that cannot answer jobs is reported before the first job, to people and to the platform."""

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from ops import checkpoint, fitness
from runpod_stand_in import RunPodStandIn
from tiny_model.environment import CHECKPOINT, environment

HANDLER = Path(__file__).parents[2] / "src" / "handler.py"
NO_DIRECTORY = "MODEL_NAME is a directory that does not exist."
NO_CHECKPOINT = "MODEL_NAME is a directory without config.json and safetensors."
NAMES = ["ffmpeg", "model", "GPU", "disk", "memory", "sandbox", "video reader"]
SERVED, LARGE_BYTES = "Qwen3VLForConditionalGeneration", 10**16


async def sentences(**settings: Any) -> dict[str, tuple[bool, str]]:
    made = Settings(**{"model_name": str(CHECKPOINT), **settings})
    findings = [finding async for finding in fitness.examine(made)]
    assert [finding.name for finding in findings] == NAMES
    return {finding.name: (finding.is_fit, finding.sentence) for finding in findings}


async def faults(**settings: Any) -> dict[str, str]:
    return {name: sentence for name, (is_fit, sentence) in (await sentences(**settings)).items() if not is_fit}


def write_weights(path: Path, *shape: int) -> None:
    """Write a safetensors file that claims a tensor of a shape and holds none of it."""
    header = json.dumps({"weight": {"dtype": "F8_E4M3", "shape": shape, "data_offsets": [0, 0]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A Hugging Face Hub on loopback: what it answers about any model, and the status. The cache is empty."""
    answer: dict[str, Any] = {"status": 200, "body": {"id": "some/model", "siblings": []}}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answer["body"]).encode()
            self.send_response(answer["status"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield answer
        server.shutdown()


def on_hub(architecture: str, size_bytes: int, parameters: int) -> dict[str, Any]:
    return {
        "id": "some/model",
        "config": {"architectures": [architecture]},
        "siblings": [
            {"rfilename": "model.safetensors", "size": size_bytes},
            {"rfilename": "README.md", "size": 10**15},
        ],
        "safetensors": {"parameters": {"F8_E4M3": parameters}, "total": parameters},
    }


async def test_this_machine_is_fit() -> None:
    assert await faults() == {}


@pytest.mark.parametrize(
    ("settings", "name", "sentence"),
    [
        ({"model_name": "/nowhere"}, "model", NO_DIRECTORY),
        ({"model_name": "/usr"}, "model", NO_CHECKPOINT),
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

    (found,) = [finding async for finding in fitness.examine(settings) if finding.name == "sandbox"]

    assert found.sentence == "video readers run without: no other files"
    assert found.is_fit is not is_required


@pytest.mark.usefixtures("untried_layers")
async def test_everything_that_the_machine_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fitness, "MIN_FREE_MEMORY_BYTES", 2**60)
    monkeypatch.setattr(fitness, "version", lambda _package: "0.32.0")
    monkeypatch.setattr(fitness, "NVIDIA_DEVICE", tmp_path / "nvidiactl")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert shutil.which("ffmpeg") is None
    assert (await faults()).keys() == {"ffmpeg", "memory", "GPU", "video reader"}


async def test_a_model_of_another_architecture_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"]}')
    write_weights(tmp_path / "model.safetensors", 8, 8)
    assert await faults(model_name=str(tmp_path)) == {
        "model": f"MODEL_NAME is of the architecture GPT2LMHeadModel; this worker serves {SERVED}."
    }


@pytest.mark.parametrize("header", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{x"])
async def test_damaged_weights_are_a_fault(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [SERVED]}))
    (tmp_path / "model.safetensors").write_bytes(header)
    assert (await faults(model_name=str(tmp_path))).keys() == {"model"}


async def test_a_model_for_whose_numbers_a_cpu_lacks_the_memory_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [SERVED]}))
    write_weights(tmp_path / "model.safetensors", 2**20, 2**20)  # 4 TiB as float32
    found = await faults(model_name=str(tmp_path))
    assert found.keys() == {"memory"}
    assert "4098.0 GiB are needed, 4096.0 of them for the model in float32" in found["memory"]


@pytest.mark.parametrize(("memory_mib", "is_fit"), [(24_000, True), (8_000, False)])
async def test_a_gpu_has_to_have_room_for_the_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hub: dict[str, Any], memory_mib: int, *, is_fit: bool
) -> None:
    hub["body"] = on_hub(SERVED, 10 * 2**30, 10 * 2**30)
    monkeypatch.setattr(fitness, "gpu_memory_bytes", lambda: memory_mib * 2**20)
    monkeypatch.setattr(fitness, "version", lambda _package: "0.32.0")
    monkeypatch.setattr(fitness, "NVIDIA_DEVICE", tmp_path)
    assert (await sentences(model_name="some/model"))["GPU"] == (
        is_fit,
        f"{memory_mib / 1024 * 0.9:.1f} GiB of its memory may be used; the model's weights take 10.0 GiB",
    )


async def test_what_the_first_job_will_fetch_is_said_with_its_size(hub: dict[str, Any]) -> None:
    hub["body"] = on_hub(SERVED, 10**8, 10**7)
    found = await sentences(model_name="some/model")
    assert found["model"] == (True, "will be fetched from Hugging Face with the first job, 0.1 GB")
    assert "GiB free for HF_HOME; 1.1 GiB are needed" in found["disk"][1]


async def test_weights_that_the_disk_has_no_room_for_are_a_fault(hub: dict[str, Any]) -> None:
    hub["body"] = on_hub(SERVED, LARGE_BYTES, 10**7)
    assert (await faults(model_name="some/model")).keys() == {"disk"}


async def test_a_model_on_the_hub_of_another_architecture_is_a_fault(hub: dict[str, Any]) -> None:
    hub["body"] = on_hub("GPT2LMHeadModel", 10**6, 10**6)
    assert (await faults(model_name="gpt2")).keys() == {"model"}


async def test_a_model_that_the_hub_refuses_is_a_fault(hub: dict[str, Any]) -> None:
    hub["status"] = 401
    found = await faults(model_name="some/model")
    assert found["model"].startswith("Hugging Face answered with HTTP status 401: check MODEL_NAME, and HF_TOKEN")


@pytest.mark.usefixtures("hub")
async def test_a_hub_that_cannot_be_reached_is_a_fault_unless_the_model_is_cached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
    assert await faults(model_name="some/model") == {
        "model": "MODEL_NAME is not in the cache of Hugging Face, and the Hub cannot be reached to fetch it."
    }
    assert await faults() == {}


async def test_what_is_no_model_id_is_a_fault(hub: dict[str, Any]) -> None:
    assert hub
    assert (await faults(model_name="a/b/c"))["model"].startswith("MODEL_NAME is neither a directory nor a model id")


async def test_a_cached_model_has_to_be_complete(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--some--model"
    snapshot = model / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0123")
    (snapshot / "config.json").write_text(json.dumps({"architectures": [SERVED]}))
    write_weights(snapshot / "model-1.safetensors", 8, 8)
    (snapshot / checkpoint.INDEX_FILE).write_text(
        '{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    )
    assert (await faults(model_name="some/model")).keys() == {"model"}

    write_weights(snapshot / "model-2.safetensors", 8, 8)
    assert await faults(model_name="some/model") == {}


def test_the_check_option_prints_a_line_for_each_check() -> None:
    settings = environment() | {"PATH": "/usr/bin:/bin", "MODEL_NAME": "/nowhere"}
    checked = subprocess.run(
        [sys.executable, HANDLER, "--check"], env=settings, capture_output=True, text=True, check=False
    )
    lines = checked.stdout.splitlines()
    assert (checked.returncode, len(lines)) == (1, len(NAMES))
    assert [line for line in lines if not line.startswith("ok ")] == [f"FAULT  model         {NO_DIRECTORY}"]


def test_a_finding_fits_the_terminal_and_is_one_line_elsewhere() -> None:
    finding = fitness.Finding("model", is_fit=False, sentence=NO_DIRECTORY)
    assert finding.lines(None) == f"FAULT  model         {NO_DIRECTORY}"
    assert finding.lines(48).splitlines() == [
        "FAULT  model         MODEL_NAME is a directory",
        "                     that does not exist.",
    ]


@pytest.mark.parametrize("command", [["src/handler.py", "--check"], ["test_local.py"], ["example_usage.py", "poll"]])
def test_a_script_run_outside_the_environment_says_so_in_one_sentence(command: list[str]) -> None:
    """-I -S: a Python that has its standard library and nothing else."""
    bare = [sys.executable, "-I", "-S", *command]
    finished = subprocess.run(bare, capture_output=True, text=True, check=False, cwd=HANDLER.parents[1])
    assert (finished.returncode, finished.stdout, len(finished.stderr.splitlines())) == (1, "", 1)
    assert " lacks a package of " in finished.stderr


@pytest.mark.parametrize("script", ["test_local.py", "example_usage.py"])
def test_the_help_of_a_script_needs_no_environment(script: str) -> None:
    bare = [sys.executable, "-I", "-S", script, "--help"]
    finished = subprocess.run(bare, capture_output=True, text=True, check=False, cwd=HANDLER.parents[1])
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "usage: " in finished.stdout


def test_an_unfit_worker_tells_the_platform_why_and_ends() -> None:
    command, settings = [sys.executable, str(HANDLER)], environment() | {"MODEL_NAME": "/nowhere"}
    with RunPodStandIn() as platform, platform.worker_process(command, environment=settings) as process:
        assert process.wait(timeout=60) == 1
        unhealthy = platform.worker().unhealthy
    assert unhealthy == {"check": "fitness", "reason": f"RuntimeError: model: {NO_DIRECTORY}"}
