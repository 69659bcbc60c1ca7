"""Every kind of failure has a code of its own, which the README explains."""

import re
from pathlib import Path

import pytest

import errors
from errors import EngineDead, VideoTooLong, WorkerError, to_response

README = Path(__file__).parents[1] / "README.md"


def all_kinds(kind: type[WorkerError] = WorkerError) -> list[type[WorkerError]]:
    return [kind, *(deeper for subclass in kind.__subclasses__() for deeper in all_kinds(subclass))]


KINDS = [kind for kind in all_kinds() if kind.__module__ == errors.__name__]


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in KINDS]
    assert sorted(codes) == sorted(set(codes))


def test_the_hierarchy_in_the_docstring_is_the_real_one() -> None:
    drawn = re.findall(r"^( *)(\w+) +([A-Z_]+)$", errors.__doc__ or "", re.MULTILINE)
    assert [(name, code) for _, name, code in drawn] == [(kind.__name__, kind.code) for kind in KINDS]
    assert [len(indent) // 2 for indent, *_ in drawn] == [
        len(kind.__mro__) - len(WorkerError.__mro__) for kind in KINDS
    ]


def test_the_readme_explains_exactly_these_codes() -> None:
    section = README.read_text().partition("A failed job has")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)
    assert sorted(documented) == sorted(kind.code for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_response_is_a_string_with_code_and_sentence(kind: type[WorkerError]) -> None:
    response = to_response(kind("What went wrong."))
    assert response["error"] == f"{kind.code}: What went wrong."
    assert response.get("refresh_worker", False) is (kind is EngineDead)


def test_the_text_of_any_other_exception_is_not_returned() -> None:
    canary = "https://host/video?signature=canary"
    assert "canary" not in str(to_response(OSError(canary)))
    assert to_response(OSError(canary))["error"].startswith("INTERNAL: ")  # type: ignore[union-attr]


def test_the_text_of_an_errors_cause_is_not_returned() -> None:
    error = VideoTooLong("Too long.")
    error.__cause__ = ValueError("/secret/path")
    assert to_response(error) == {"error": "VIDEO_TOO_LONG: Too long."}
