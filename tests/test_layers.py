"""Imports only point down through the layers, and some packages are imported in one place only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"

# From top to bottom. Files in one layer do not import each other.
LAYERS = [
    ["handler"],
    ["api.size_limit", "ops.fitness", "ops.logs"],
    ["api.output", "api.progress", "ops.redaction"],
    ["pipeline"],
    ["api.request"],
    ["vllm_client", "download", "video_processor", "job_directory"],
    ["engine.async_engine", "answers.synthesis", "sources.http", "frame_extractor"],
    ["sources.address_guard", "sources.local", "engine.arguments"],
    ["sources.url", "sources.presigned"],
    ["decoder.probe", "decoder.decode", "frames.assembly"],
    ["decoder.gop.pool", "decoder.gop.split"],
    ["decoder.convert.rgb", "decoder.gop.select"],
    ["decoder.bitstream.h26x", "decoder.bitstream.av1"],
    ["decoder.bitstream.base"],
    ["frames.static"],
    ["decoder.container.open"],
    [
        "decoder.container.packets",
        "vision",
        "protocol",
        "decoder.bitstream.bits",
        "decoder.convert.tone_map",
        "decoder.container.pts",
    ],
    ["engine.chat", "engine.watchdog"],
    ["frames.reader_pool"],
    ["answers.prompts", "sandbox.process", "limits.chunk_limiter"],
    ["sandbox.wrappers"],
    ["sandbox.confine", "limits.free_memory"],
    ["sandbox.landlock", "sandbox.seccomp"],
    ["config"],
    ["records"],
    ["errors"],
]
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}
MODULES = {".".join(path.relative_to(SRC).with_suffix("").parts): path for path in SRC.rglob("*.py")}
CHILDREN_ONLY = {name for name in MODULES if name.startswith("decoder.") and not name.endswith("__init__")}
"""The decoder programs and the modules that only they import."""
PARSERS = {"av", "cv2", "decord", "imageio", "imageio_ffmpeg", "torchcodec"}
"""Packages that parse media in the process that imports them."""
STARTS = ("subprocess", "os.exec", "os.spawn", "os.posix_spawn", "os.system", "os.popen", "os.fork", "ffmpeg.probe")
"""Texts in source code that start a program."""


def imported_names(path: Path) -> set[str]:
    """Everything that a file imports, at the top or inside a function: modules as `a` or `a.b`, names as `a.b.name`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def imported_modules(path: Path) -> set[str]:
    """The project's own modules that a file imports."""
    return imported_names(path) & RANK.keys()


def test_every_file_has_a_layer() -> None:
    assert {name for name in MODULES if not name.endswith("__init__")} == RANK.keys()


@pytest.mark.parametrize("module", sorted(RANK))
def test_a_file_imports_only_from_layers_below_it(module: str) -> None:
    above = {name for name in imported_modules(MODULES[module]) if RANK[name] <= RANK[module]}
    assert above == set()


def test_the_worker_never_imports_the_decoder_programs() -> None:
    importers = {name for name in RANK.keys() - CHILDREN_ONLY if imported_modules(MODULES[name]) & CHILDREN_ONLY}
    assert importers == set()


def test_only_the_decoder_programs_import_packages_that_parse_media() -> None:
    def packages_of(name: str) -> set[str]:
        return {imported.partition(".")[0] for imported in imported_names(MODULES[name])}

    assert {name for name in RANK if packages_of(name) & (PARSERS | {"torchvision"})} <= CHILDREN_ONLY


def test_only_arithmetic_of_qwen_vl_utils_is_used() -> None:
    names = {name for path in MODULES.values() for name in imported_names(path) if name.startswith("qwen_vl_utils")}
    used = {name.removeprefix("qwen_vl_utils.vision_process") for name in names}
    assert used == {"", ".MAX_RATIO", ".smart_resize"}


def test_importing_the_worker_loads_no_package_that_parses_media() -> None:
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {sorted(RANK.keys() - CHILDREN_ONLY)}];"
        "import vision; vision.frame_size(180, 320, 4, 9);"  # imports qwen-vl-utils
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {PARSERS}))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=SRC, check=True, capture_output=True, text=True).stdout
    assert output.strip() == "[]"


def test_only_the_sandbox_starts_programs() -> None:
    starters = {name for name, path in MODULES.items() if any(word in path.read_text() for word in STARTS)}
    assert starters == {"sandbox.process", "sandbox.wrappers"}


def test_only_the_engine_imports_vllm_and_only_the_handler_imports_runpod() -> None:
    def files_with(package: str) -> set[str]:
        words = (f"import {package}", f"from {package}")
        return {name for name, path in MODULES.items() if any(word in path.read_text() for word in words)}

    assert files_with("vllm ") | files_with("vllm.") == {"engine.async_engine"}
    assert files_with("runpod") == {"handler"}


def test_importing_the_handler_starts_nothing_and_loads_no_engine() -> None:
    code = (
        "import sys, threading; before = threading.active_count(); import handler;"
        "assert threading.active_count() == before;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'vllm', 'torch', 'transformers', 'runpod'}))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=SRC, check=True, capture_output=True, text=True).stdout
    assert output.strip() == "[]"


def test_only_config_reads_settings_from_the_environment() -> None:
    readers = {name for name, path in MODULES.items() if "os.environ" in path.read_text()}
    # The engine sets variables for vLLM and sandbox.confine one for NumPy; sandbox.process passes PATH on; ops.logs
    # collects the secrets to redact; the handler asks whether it runs on the platform.
    assert readers == {"engine.async_engine", "sandbox.confine", "sandbox.process", "ops.logs", "handler"}
