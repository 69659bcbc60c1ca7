"""Imports point down only: the order of design is the order of reading."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"

# The top first. Files of one line are peers and do not import each other, but for the named exceptions.
LAYERS = [
    ["handler"],
    ["report.delivery", "report.fitness"],
    ["report.output", "report.progress", "report.redaction"],
    ["pipeline"],
    ["vllm_client", "download", "video_processor", "job_directory"],
    ["engine.async_engine", "answers.synthesis", "sources.http", "frame_extractor"],
    ["sources.address_guard", "sources.local", "engine.arguments"],
    ["sources.url", "sources.presigned"],
    ["media.scan", "media.decode", "media.assembly"],
    ["media.decoders", "media.groups"],
    ["media.picture", "media.needed"],
    ["media.nal", "media.av1"],
    ["media.references"],
    ["media.thinning"],
    ["media.source"],
    ["media.packets", "media.budget", "media.wire", "media.bits", "media.tone"],
    ["engine.chat", "engine.pulse"],
    ["answers.prompts", "media_process", "chunk_gate"],
    ["media.sandbox"],
    ["media.confinement", "free_memory"],
    ["media.landlock"],
    ["config"],
    ["records"],
    ["errors"],
]
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}
MODULES = {".".join(path.relative_to(SRC).with_suffix("").parts): path for path in SRC.rglob("*.py")}


def imported_modules(path: Path) -> set[str]:
    """The project's own modules that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & RANK.keys()


def test_every_file_has_its_place() -> None:
    assert {name for name in MODULES if not name.endswith("__init__")} == RANK.keys()


@pytest.mark.parametrize("module", sorted(RANK))
def test_a_file_imports_only_what_lies_below_it(module: str) -> None:
    above = {name for name in imported_modules(MODULES[module]) if RANK[name] <= RANK[module]}
    assert above == set()


def test_the_programs_that_open_files_are_never_imported_by_the_worker() -> None:
    programs = {"media.scan", "media.decode", "media.picture", "media.needed", "media.nal", "media.references"}
    programs |= {
        "media.source",
        "media.packets",
        "media.groups",
        "media.bits",
        "media.decoders",
        "media.tone",
        "media.av1",
    }
    importers = {name for name in RANK if name not in programs and imported_modules(MODULES[name]) & programs}
    assert importers == set()


def test_vllm_is_imported_only_behind_the_client_and_runpod_only_in_the_handler() -> None:
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


def test_only_config_reads_the_environment() -> None:
    readers = {name for name, path in MODULES.items() if "os.environ" in path.read_text()}
    # The engine writes for vLLM, media_process passes PATH on, the handler asks whether it runs on the platform.
    assert readers == {"engine.async_engine", "media_process", "handler"}
