"""The documents lead somewhere: every link names a file and a heading that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for pattern in ("*.md", "docs/**/*.md", "tests/**/*.md") for path in ROOT.glob(pattern)
)


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text)


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to a document's headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", without_code(document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


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
