"""How the tests themselves run: what they import, what they share a process with, and what fails all of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from arrangement import ENGINE_FILES, group_of
from canary import CANARY

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "vllm", "transformers", "av", "aiohttp", "runpod")
PURE = ("tests/answers/test_prompts.py", "tests/limits", "tests/test_errors.py", "tests/sources/test_presigned.py")
RUN_AND_NAME_HEAVY_IMPORTS = f"""
import sys, pytest
status = pytest.main(sys.argv[1:])
print("imported:", *({{*{HEAVY}}} & sys.modules.keys()))
sys.exit(status)
"""


def run_python(*arguments: str, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory, env=environment | {"PYTHONPATH": path}, check=False, capture_output=True, text=True,
    )  # fmt: skip


def test_tests_of_pure_functions_import_nothing_that_takes_long() -> None:
    finished = run_python("-c", RUN_AND_NAME_HEAVY_IMPORTS, "-q", "-p", "no:cacheprovider", *PURE)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines()[-1] == "imported:"


@pytest.mark.parametrize("way", [["-n", "1"], ["-p", "no:xdist"]], ids=["with pytest-xdist", "without"])
def test_a_secret_that_is_logged_fails_the_test_that_logged_it(way: list[str], tmp_path: Path) -> None:
    test = tmp_path / "test_leak.py"
    test.write_text(f"import logging\n\n\ndef test_leak():\n    logging.getLogger('worker').info('key {CANARY}')\n")
    finished = run_python("-m", "pytest", "-q", "-p", "conftest", *way, test.name, directory=tmp_path)
    assert finished.returncode == pytest.ExitCode.TESTS_FAILED
    assert f"a secret was logged:\nworker key {CANARY}\n" in finished.stdout
    assert "test_leak.py::test_leak" in finished.stdout


def test_files_with_the_engine_share_a_process_and_every_other_file_is_a_group_of_its_own() -> None:
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")]
    groups = {group_of(f"{file}::test") for file in files}
    assert len(groups) == len(files) - len(ENGINE_FILES) + 1
