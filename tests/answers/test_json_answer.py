"""An answer is read strictly, exactly, and as the caller's schema means it."""

import json
import time

import pytest

from answers.json_answer import InvalidAnswer, read_json
from records import Schema

NUMBER: Schema = {"type": "number"}
MANY: Schema = {"type": "array", "items": NUMBER}


def fault(text: str, schema: Schema) -> str:
    with pytest.raises(InvalidAnswer) as invalid:
        read_json(text, schema)
    return str(invalid.value)


def test_values_are_plain_json() -> None:
    text = '{"a": [1, 1.5, 2.0, -0.0, 1e2, true, null, "é"], "b": {}}'
    value = read_json(text, {"type": "object"})
    assert value == json.loads(text)
    assert list(map(type, value["a"])) == [int, float, float, float, float, bool, type(None), str]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not JSON from character 1 on"),
        ('{"a": 1', "not JSON from character"),
        ("1 2", "not JSON from character 3 on"),
        ("[NaN]", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e999", "too large"),
        ("-1e999999999999999999999", "too large"),
        ("9" * 5000, "too large"),
        ("-" + "9" * 301, "too large"),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
        ('{"a": 1, "a": 2}', "the same key twice"),
        ('"\\ud800"', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
    ],
)
def test_what_other_readers_would_not_take_is_refused(text: str, what: str) -> None:
    assert what in fault(text, {})


@pytest.mark.parametrize("text", ["0e999999999999", "1e-999999999999", "0." + "3" * 5000, "9" * 300])
def test_a_number_of_any_length_becomes_what_a_client_reads(text: str) -> None:
    assert read_json(text, NUMBER) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "step", "is_multiple"),
    [
        ("50419.2", 0.1, True),
        ("0.3", 0.1, True),
        ("0.35", 0.1, False),
        ("123456789.01", 0.01, True),
        ("7", 0.5, True),
        ("1e22", 3, False),
        ("9007199254740993", 3, True),
        ("1e300", 0.001, True),
        ("0", 7, True),
        ("1e-300", 0.001, False),
    ],
)
def test_multiples_are_exact(text: str, step: float, *, is_multiple: bool) -> None:
    schema = {"type": "number", "multipleOf": step}
    if is_multiple:
        assert read_json(text, schema) == json.loads(text)
    else:
        assert fault(text, schema) == "The answer breaks multipleOf at /."


def test_bounds_are_exact() -> None:
    assert read_json("0.1", {"minimum": 0.1, "maximum": 0.1}) == 0.1
    assert "exclusiveMaximum" in fault("0.99999999999999999999", {"exclusiveMaximum": 1})  # a client reads 1.0


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ('"a"', {"type": "string"}),
        ("null", {"type": "string", "nullable": True}),
        ("5.0", {"type": "integer"}),
        ("5", {"const": 5.0}),
        ("0.0000001", {"enum": [1e-7]}),
        ('"12:30"', {"type": "string", "pattern": r"^\d{2}:\d{2}$"}),
        ('{"a": {"a": null}}', {"properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}, "type": "object"}),
        ('{"kind": "a"}', {"oneOf": [{"properties": {"kind": {"const": name}}} for name in "ab"]}),
    ],
)
def test_what_the_schema_means_is_taken(text: str, schema: Schema) -> None:
    assert read_json(text, schema) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "schema", "where"),
    [
        ("null", {"type": "string"}, "type at /"),
        ("true", {"type": "integer"}, "type at /"),
        ("true", NUMBER, "type at /"),
        ("true", {"const": 1}, "const at /"),
        ("[1, 2.5]", {"items": {"type": "integer"}}, "type at /1"),
        ('{"a": ["12-30"]}', {"properties": {"a": {"items": {"pattern": r"^\d{2}:\d{2}$"}}}}, "pattern at /a/0"),
        ('{"b": 1}', {"properties": {}, "additionalProperties": False}, "additionalProperties at /"),
        ("{}", {"required": ["a"]}, "required at /"),
        ('{"kind": "a"}', {"oneOf": [{"type": "object"}, {"required": ["kind"]}]}, "oneOf at /"),
    ],
)
def test_a_fault_is_named_by_keyword_and_place(text: str, schema: Schema, where: str) -> None:
    assert fault(text, schema) == f"The answer breaks {where}."


def test_a_fault_repeats_little_of_the_answer() -> None:
    message = fault(json.dumps({"key\n" * 100: "value" * 1000}), {"additionalProperties": {"type": "null"}})
    assert len(message) < 150
    assert "\n" not in message


def test_a_pattern_takes_no_more_time_than_the_text_is_long() -> None:
    start = time.perf_counter()
    assert "pattern" in fault(json.dumps("a" * 1000 + "!"), {"pattern": "^(a|a)*(a|b)*$"})
    assert time.perf_counter() - start < 1
