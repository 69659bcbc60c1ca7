"""The documents say what is there: their links lead somewhere, and the README's tables are those of the code."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from api.output import ChunkOutput, DecodingOutput, JobOutput, UnseenOutput, Usage, VideoInfoOutput
from api.request import JobRequest
from config import load_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md") for path in ROOT.glob(pattern)
)


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", without_code(document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(heading: str) -> dict[str, list[str]]:
    """The table under a heading of the README: other cells by each name in the first cell."""
    (section,) = re.findall(rf"(?ms)^#+ {heading}\n(.*?)(?=^#|\Z)", README)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"(?m)^\| `.*$", section)]
    return {name: rest for first, *rest in cells for name in re.findall(r"`(\w+)`", first)}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_within_the_repository_leads_to_a_file_and_a_heading(name: str) -> None:
    document = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text()))
    broken = []
    for link in links:
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            broken.append(link)
    assert broken == []


def test_the_index_of_decisions_lists_every_decision_under_its_title() -> None:
    directory = ROOT / "docs" / "decisions"
    listed = re.findall(r"\| \[(\d{4})\]\((.+?)\) \| (.+?) \|", (directory / "README.md").read_text())
    written = [
        (path.name[:4], path.name, path.read_text().partition("\n")[0].removeprefix(f"# {path.name[:4]}. "))
        for path in sorted(directory.glob("[0-9]*.md"))
    ]
    assert listed == written


def test_the_readme_lists_exactly_the_fields_of_a_job() -> None:
    assert rows("Job input").keys() == {field.alias or name for name, field in JobRequest.model_fields.items()}


def test_the_readme_gives_the_defaults_of_a_jobs_fields() -> None:
    documented = {name: cells[0].strip("`") for name, cells in rows("Job input").items()}
    for name, field in JobRequest.model_fields.items():
        default = "required" if field.is_required() else field.default
        if default:  # else a setting's name, or "none"
            assert documented[field.alias or name] == str(default).replace("True", "true"), name


def test_the_readme_names_every_field_of_a_result() -> None:
    assert JobOutput.model_fields.keys() <= rows("Job output").keys()


@pytest.mark.parametrize(
    ("field", "record"),
    [
        ("video_info", VideoInfoOutput),
        ("unseen", UnseenOutput),
        ("chunk_results", ChunkOutput),
        ("decoding", DecodingOutput),
        ("usage", Usage),
    ],
)
def test_the_readme_lists_the_fields_within_a_field_of_a_result(field: str, record: type[BaseModel]) -> None:
    (listed, *_) = re.findall(r"`(\w+(?:, \w+)+)`", rows("Job output")[field][0])
    assert listed.split(", ") == list(record.model_fields)


def test_the_readme_gives_the_settings_their_defaults() -> None:
    shipped = load_settings()
    for name, (default, _) in rows("Settings").items():
        value = getattr(shipped, name.lower())
        if default == "none":
            assert not value, name
        else:
            assert type(value)(default.strip("`")) == value or str(value).lower() == default, name


def test_what_fast_decode_costs_is_the_same_in_every_document() -> None:
    (in_guide,) = re.findall(r"(?m)^\| `FAST_DECODE` \|.*$", (ROOT / "DEPLOYMENT.md").read_text())
    in_readme = " ".join(item for item in re.split(r"\n(?=- |\n)", README) if "`FAST_DECODE`" in item)
    figures = re.findall(r"\d+ dB", in_guide)
    assert figures
    assert set(figures) <= set(re.findall(r"\d+ dB", in_readme))


def test_the_readme_begins_with_a_result_the_alternatives_the_state_of_proof_and_the_cost() -> None:
    first_screen = README.partition("\n## ")[0]
    results = re.findall(r"(?ms)^```json\n(.*?)^```$", first_screen)
    assert '"aggregated_response"' in results[-1]
    for words in ("worker-vllm", "vllm serve", "Gemini", "**State of proof.**", "**Cost.**"):
        assert words in first_screen


def test_the_readme_says_how_cropping_and_seeds_are_treated_and_how_to_try_the_api_here() -> None:
    text = " ".join(README.split())
    assert "(`clap` in MP4, `PixelCrop` in Matroska) is not applied" in text
    assert "On a CPU it has no effect" in rows("Job input")["seed"][1]
    assert "make serve" in README
    assert "make serve" in (ROOT / "DEPLOYMENT.md").read_text()


def test_words_of_this_project_are_explained_in_the_readme() -> None:
    assert "A *concession* is " in README
    for unexplained in ("groups alone", "grid of instants"):
        assert unexplained not in README
