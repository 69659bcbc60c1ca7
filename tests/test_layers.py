"""Every file of src is covered by the import contracts of pyproject.toml; here is what no contract can express."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
IMPORTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS = {contract["id"]: contract for contract in IMPORTS["contracts"]}
MODULES = {".".join(path.relative_to(SRC).with_suffix("").parts): path for path in SRC.rglob("*.py")}
OF_THE_WORKER = sorted(name for name in MODULES if not name.startswith("decoder.") and not name.endswith("__init__"))
"""The decoder is a program of its own."""
PARSERS = {*CONTRACTS["av"]["protected_modules"], *CONTRACTS["other-parsers"]["forbidden_modules"]}
"""Packages that read media inside the process that imports them."""
STARTS = ("subprocess", "os.exec", "os.spawn", "os.posix_spawn", "os.system", "os.popen", "os.fork", "ffmpeg.probe")
"""Words that start a program."""


def layers_of(module: str) -> list[str]:
    """The entries of the order of imports that hold a module: its own name or the folder it lies in."""
    entries = [name.strip(" ()") for line in CONTRACTS["layers"]["layers"] for name in re.split("[|:]", line)]
    return [entry for entry in entries if module == entry or module.startswith(f"{entry}.")]


def test_import_linter_reads_every_file() -> None:
    assert {name.partition(".")[0] for name in MODULES} == set(IMPORTS["root_packages"])


def test_every_file_has_one_place_in_the_order_of_imports() -> None:
    files = {name for name in MODULES if not name.endswith("__init__")}
    assert {name: layers_of(name) for name in files if len(layers_of(name)) != 1} == {}


def test_every_folder_is_checked_for_cycles() -> None:
    assert {name.partition(".")[0] for name in MODULES if "." in name} == set(CONTRACTS["cycles"]["ancestors"])


def test_no_parser_of_media_comes_along_with_what_the_worker_imports() -> None:
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {OF_THE_WORKER}];"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {PARSERS}))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=SRC, check=True, capture_output=True, text=True).stdout
    assert output.strip() == "[]"


def test_programs_are_started_only_where_they_are_limited() -> None:
    starters = {name for name, path in MODULES.items() if any(word in path.read_text() for word in STARTS)}
    assert starters == {"sandbox.process", "sandbox.wrappers", "engine.guard"}


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
    # The engine writes for vLLM and sandbox.confine for NumPy, sandbox.process passes PATH on, the log hides
    # the values of secret variables, the handler asks whether it runs on the platform.
    assert readers == {"engine.lifecycle", "sandbox.confine", "sandbox.process", "ops.logs", "handler"}
