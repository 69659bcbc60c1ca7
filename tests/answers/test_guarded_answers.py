"""An answer to a guarded schema ends, and is valid under the caller's own: by hypothesis, and by guidance itself."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from answers.json_answer import read_json
from answers.schema.guard import guarded
from answers.schema.rules import SchemaRefused
from records import Schema
from schemas import ACCEPTED, CALLERS, values

WALK = Path(__file__).parents[1] / "grammar_walk.py"


@settings(max_examples=120, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(CALLERS, st.data())
def test_what_fits_the_engines_schema_fits_the_callers(schema: Schema, data: st.DataObject) -> None:
    try:
        passed = guarded(schema)
    except SchemaRefused:
        assume(False)
    value = data.draw(values(passed.for_engine))
    assert read_json(json.dumps(value), passed.meaning) == value


@pytest.fixture(scope="module")
def walks() -> dict[str, Any]:
    order = {"schemas": [guarded(schema).for_engine for schema in ACCEPTED.values()], "walks": 6}
    process = subprocess.run(
        [sys.executable, WALK], input=json.dumps(order), capture_output=True, text=True, timeout=60, check=True
    )
    return dict(zip(ACCEPTED, json.loads(process.stdout), strict=True))


@pytest.mark.parametrize("name", ACCEPTED)
def test_guidance_compiles_it_and_its_random_answers_end_and_are_valid(walks: dict[str, Any], name: str) -> None:
    assert walks[name]["error"] == ""
    for text, has_ended in walks[name]["answers"]:
        assert has_ended
        read_json(text, guarded(ACCEPTED[name]).meaning)


def test_guidance_can_answer_with_a_negative_number(walks: dict[str, Any]) -> None:
    """Beside multipleOf it cannot, which is why the guard fills that in above 0 alone."""
    assert any("-" in text for text, _ in walks["mood"]["answers"])
    assert all(json.loads(text)["answer"] < 0 for text, _ in walks["loss"]["answers"])
