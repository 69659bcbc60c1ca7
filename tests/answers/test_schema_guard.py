"""What the guard lets through, what it refuses, and how it says so."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from answers.schema.guard import guarded
from answers.schema.rules import SchemaRefused
from records import Schema
from schemas import ACCEPTED, FIELDS, of_field, strict


def written(schema: object) -> Schema:
    return guarded(schema).for_engine


def refusal(schema: object) -> str:
    with pytest.raises(SchemaRefused) as refused:
        guarded(schema)
    return str(refused.value)


def with_field(schema: object, **definitions: Schema) -> Schema:
    return {"type": "object", "properties": {"tags": schema}, "required": ["tags"], "$defs": definitions}


def nested(levels: int) -> Schema:
    return {"type": "array", "items": nested(levels - 1)} if levels > 1 else {"type": "null"}


@pytest.mark.parametrize("name", ACCEPTED)
def test_schemas_as_pydantic_zod_and_openai_write_them_pass(name: str) -> None:
    Draft202012Validator.check_schema(written(ACCEPTED[name]))


@pytest.mark.parametrize("name", FIELDS)
def test_a_schema_made_strict_by_openais_client_means_the_same(name: str) -> None:
    (plain,) = written(of_field(FIELDS[name]))["properties"].values()
    (same,) = written(strict(FIELDS[name]))["properties"].values()
    if name not in {"nested", "recursive", "enum keys"}:  # there a field with a default becomes required
        assert same == plain


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ({"type": "array", "items": {"type": "null"}, "uniqueItems": True}, "uniqueItems is not supported"),
        *(
            ({"type": "string", name: {}}, f"{name} is not supported")
            for name in ("contains", "not", "if", "then", "dependentRequired", "patternProperties", "unevaluatedItems")
        ),
        *(({"type": "string", name: "x"}, f"{name} is not supported") for name in ("$id", "$anchor", "$dynamicRef")),
        *(
            ({"type": "string", "format": name}, "format must be one of date, time")
            for name in ("email", "uri", "binary", "regex", "no-such-format")
        ),
        (True, "a schema must be an object"),
        ({}, "type is missing"),
        ({"type": "text"}, "type must be one of"),
        ({"type": []}, "type must be one of"),
        ({"type": [{}]}, "type must be one of"),
        ({"nullable": True, "anyOf": [{"type": "null"}]}, "nullable must be true or false and stand beside type"),
        ({"type": "string", "maximum": 5}, "maximum does not apply to the type"),
        ({"type": "string", "minLength": 5, "maxLength": 4}, "minLength is above maxLength"),
        ({"type": "string", "minLength": 1.5}, "minLength must be a whole number"),
        ({"type": "string", "minLength": True}, "minLength must be a whole number"),
        ({"type": "string", "maxLength": 2001}, "maxLength is above 2000"),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 201}, "maxItems is above 200"),
        ({"type": "array"}, "an array needs items"),
        ({"type": "array", "items": [{"type": "null"}]}, "items must be one schema; a tuple has prefixItems"),
        ({"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "null"}}, "items beside prefixItems"),
        ({"type": "array", "prefixItems": [{"type": "null"}], "minItems": 2, "maxItems": 3}, "must fit prefixItems"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "lies between the bounds"),
        ({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3}, "lies between the bounds"),
        ({"type": "number", "minimum": 1.1e12}, "lies between the bounds"),
        ({"type": "integer", "exclusiveMinimum": True, "minimum": 1}, "exclusiveMinimum must be a number"),
        ({"type": "integer", "minimum": 0, "multipleOf": 0.5}, "multipleOf must be one of"),
        ({"type": "number", "minimum": 0, "multipleOf": 7919}, "multipleOf must be one of"),
        ({"type": "number", "multipleOf": 0.5}, "multipleOf needs a minimum of 0 or above"),
        ({"enum": []}, "enum must be a list with at least one value"),
        ({"enum": list(range(501))}, "enum has more than 500 values"),
        ({"enum": [10**12 + 1]}, "a fixed number is above 1000000000000"),
        ({"const": {"a": 1}}, "a fixed value must be a string"),
        ({"const": 1, "type": "string"}, "no fixed value fits"),
        ({"const": True, "enum": [1]}, "no fixed value fits"),
        ({"enum": ["a"], "type": "string", "minLength": 1}, "minLength beside fixed values is not supported"),
        ({"type": "object"}, "an object without properties needs additionalProperties with a schema"),
        ({"type": "object", "additionalProperties": True}, "an object without properties needs"),
        ({"type": "object", "properties": {"a": 5}}, "a schema must be an object"),
        ({"type": "object", "properties": {}, "required": ["a"]}, "required names something that properties does not"),
        ({"type": "object", "properties": {}, "required": "a"}, "required must be a list of names"),
        (
            {"type": "object", "properties": {"a": {"type": "null"}}, "maxProperties": 1},
            "maxProperties beside properties",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "null"}},
            "additionalProperties with a schema beside properties is not supported",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "null"}, "propertyNames": {"pattern": "^a$"}},
            "free keys may have minLength",
        ),
        ({"anyOf": []}, "anyOf must be a list with at least one schema"),
        ({"anyOf": [{"type": "null"}], "type": "null"}, "type beside anyOf is not supported"),
        ({"allOf": [{"type": "null"}, {"type": "null"}]}, "allOf of several schemas is not supported"),
        ({"$ref": "#/$defs/one", "maxLength": 5}, "maxLength beside $ref is not supported"),
        ({"$ref": "https://example.com/schema"}, "$ref must be local"),
        ({"$ref": "#/$defs/none"}, "$ref #/$defs/none leads nowhere"),
        ({"$ref": "#/properties/tags"}, "$ref leads back to itself"),
    ],
)
def test_what_guidance_or_vllm_does_not_keep_is_refused_by_place_and_name(schema: object, what: str) -> None:
    message = refusal(with_field(schema))
    assert message.startswith("/properties/tags")
    assert what in message


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        ([], "/: the schema must be an object."),
        ({"type": "string", "description": "x" * 16_384}, "/: the schema is larger than 16384 bytes."),
        ({"const": float("nan")}, "/: the schema holds a number or a character that JSON does not have."),
        ({"const": "\ud800"}, "/: the schema holds a number or a character that JSON does not have."),
        (nested(13), "has more than 12 levels"),
        (
            {"type": "object", "properties": {str(i): {"type": "null"} for i in range(400)}},
            "more than 400 parts",
        ),
        ({"$ref": "#/$defs/a", "$defs": {"a": with_field({"$ref": "#/$defs/a"})}}, "/: the recursion never ends."),
        (
            {"$ref": "#/$defs/0", "$defs": {str(i): {"$ref": f"#/$defs/{i + 1}"} for i in range(30)}},
            "more than 24 references lead into each other",
        ),
    ],
)
def test_a_schema_beyond_the_limits_is_refused(schema: object, what: str) -> None:
    assert what in refusal(schema)


def test_a_schema_at_the_limits_passes() -> None:
    fields = {str(i): {"type": "string", "maxLength": 2000} for i in range(399)}
    assert len(written({"type": "object", "properties": fields})["properties"]) == 399
    assert written(nested(12))
    assert len(written({"enum": list(range(500))})["enum"]) == 500


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf"])
def test_branches_of_one_value_do_not_escape_the_limit_of_depth(keyword: str) -> None:
    schema: Schema = {"type": "null"}
    for _ in range(12):
        schema = {keyword: [schema]}
    assert "12 levels" in refusal(schema)


def test_a_message_repeats_little_of_the_callers_text() -> None:
    long = "k\n" * 2000
    for schema in (
        {"properties": {long: {"type": "x"}}},
        {"type": "string", long: 1},
        {"$ref": f"#/{long}"},
        {"type": "object", "properties": {long: {long: 1}}},
        {"type": "string", "pattern": long},
        {"type": "string", "format": long},
    ):
        message = refusal(schema)
        assert message.count("k") < 100
        assert len(message) < 250
        assert "\n" not in message


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("^(?=a)b$", "look-around"),
        ("^(?i)b$", "look-around, a flag"),
        ("^(?P<a>b)$", "or a name"),
        (r"^(a)\1$", r"\1"),
        (r"\bword", r"\b"),
        (r"^\W$", r"\W"),
        (r"^[^\w]$", r"\w"),
        ("^[[:alpha:]]$", "operation on sets"),
        ("^[a&&b]$", "operation on sets"),
        ("a^b", "^ elsewhere"),
        ("a$b", "$ elsewhere"),
        ("(a", "unmatched ("),
        ("a)", "unmatched )"),
        ("[a", "unmatched ["),
        ("[]a]", "empty []"),
        ("a{,3}", "a {"),
        ("a**", "a *"),
        ("^a{201}$", "above 200"),
        ("^a{3,2}$", "ends before it begins"),
        ("^(a{100}){11}$", "larger than 1000 characters"),
        ("a" * 101, "more than 100 characters"),
        ("a\\", "\\"),
    ],
)
def test_patterns_that_engines_read_differently_or_that_grow_are_refused(pattern: str, what: str) -> None:
    message = refusal(with_field({"type": "string", "pattern": pattern}))
    assert message.startswith(("/properties/tags: pattern has", "/properties/tags: pattern is"))
    assert what in message


@pytest.mark.parametrize(
    ("schema", "longest"),
    [
        ({"pattern": "^a{3}$"}, None),
        ({"pattern": "^(?:ab|c{2,5}?)d?$", "maxLength": 6}, None),
        ({"pattern": "^(?:ab|c{2,5})$", "maxLength": 4}, 4),
        ({"pattern": "^a+$"}, 300),
        ({"pattern": "^a|b$"}, 300),
        ({"pattern": "a"}, 300),
        ({"pattern": r"^\$"}, 300),
        ({"pattern": r"^a\$$", "minLength": 2}, None),
    ],
)
def test_a_pattern_gets_a_longest_length_only_where_it_has_none(schema: Schema, longest: int | None) -> None:
    assert written({"type": "string", **schema}).get("maxLength") == longest


def test_a_length_that_a_pattern_does_not_keep_is_refused() -> None:
    assert "minLength beside pattern" in refusal({"type": "string", "pattern": "^a+$", "minLength": 2})
    assert "below the pattern's shortest" in refusal({"type": "string", "pattern": "^aaa$", "maxLength": 2})


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, {"type": "string", "minLength": 0, "maxLength": 1000}),
        ({"type": "string", "minLength": 1500}, {"type": "string", "minLength": 1500, "maxLength": 1500}),
        (
            {"type": "array", "items": {"type": "null"}, "minItems": 1},
            {"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 100},
        ),
        ({"type": "integer", "maximum": 2**53}, {"type": "integer", "minimum": -(10**12), "maximum": 10**12}),
        ({"type": "integer", "minimum": 0.5, "exclusiveMaximum": 3}, {"type": "integer", "minimum": 1, "maximum": 2}),
        (
            {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            {"type": "number", "minimum": 1e-6, "maximum": 1, "multipleOf": 1e-6},
        ),
        (
            {"type": "number", "minimum": 0, "maximum": 1e12},
            {"type": "number", "minimum": 0, "maximum": 10**12, "multipleOf": 0.001},
        ),
        (
            {"type": ["number", "integer", "null"], "maximum": -1},
            {"anyOf": [{"type": "number", "minimum": -(10**9), "maximum": -1}, {"type": "null"}]},
        ),
        ({"type": "string", "enum": ["a", 1, "a"]}, {"enum": ["a"]}),
        ({"enum": [1, True, 1.0, None]}, {"enum": [1.0, True, None]}),
    ],
)
def test_every_bound_is_filled_in(schema: Schema, expected: Schema) -> None:
    assert written(schema) == expected


def test_a_map_gets_bounded_keys_and_entries() -> None:
    count = {"type": "integer", "minimum": 0, "maximum": 9}
    assert written({"type": "object", "additionalProperties": count}) == {
        "type": "object",
        "patternProperties": {"^(?s:.){1,60}$": count},
        "required": [],
        "additionalProperties": False,
        "minProperties": 0,
        "maxProperties": 50,
    }


def test_every_object_is_closed() -> None:
    assert written({"type": "object", "properties": {"a": {"type": "null"}}})["additionalProperties"] is False


def test_annotations_are_dropped_but_a_property_may_have_their_name() -> None:
    schema = {"type": "object", "title": "T", "properties": {"title": {"type": "null", "default": 1}}, "default": {}}
    assert written(schema)["properties"] == {"title": {"type": "null"}}


def test_recursion_is_written_out_and_ends() -> None:
    text = json.dumps(written(of_field(FIELDS["recursive"])))
    assert "$ref" not in text
    assert text.count('"title"') > 5


BRANCH_A: Schema = {"type": "object", "properties": {"k": {"const": "a"}, "n": {"type": "null"}}, "required": ["k"]}
BRANCH_B: Schema = {"type": "object", "properties": {"k": {"enum": ["b", "c"]}}}


@pytest.mark.parametrize(
    ("branches", "is_refused"),
    [
        ([BRANCH_A, BRANCH_B], False),
        ([BRANCH_A, BRANCH_A], True),
        ([BRANCH_B, {**BRANCH_B, "properties": {"k": {"const": "a"}}}], True),  # neither requires k
        ([BRANCH_A, {"type": "object", "properties": {"n": {"type": "null"}}, "required": ["n"]}], True),
        ([{"type": "integer"}, {"type": "number"}], True),
        ([{"type": "string"}, {"const": "a"}], True),
        ([{"const": 1}, {"const": 1.0}], True),
        ([{"const": 1}, {"const": True}, {"type": "string"}, {"type": ["array", "null"], "items": BRANCH_A}], False),
        ([{"anyOf": [{"const": "a"}, {"const": "b"}]}, {"anyOf": [{"type": "null"}, {"const": "b"}]}], True),
    ],
)
def test_one_of_needs_branches_that_cannot_be_confused(branches: list[Schema], *, is_refused: bool) -> None:
    schema = {"oneOf": branches}
    if is_refused:
        assert "oneOf branches must differ" in refusal(schema)
    else:
        assert "anyOf" in written(schema)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "items", "properties", "$ref", "enum", "anyOf", "pattern"]), inner)
    ),
    max_leaves=10,
)


@settings(max_examples=120, derandomize=True, deadline=None, database=None)
@given(st.dictionaries(st.sampled_from(["type", "items", "properties", "enum", "required", "minimum", "oneOf"]), JSON))
def test_whatever_is_no_schema_is_refused_and_nothing_else_is_raised(schema: dict[str, Any]) -> None:
    with suppress(SchemaRefused):
        guarded(schema)


def test_what_passes_the_rules_and_the_engine_cannot_take_is_refused_too() -> None:
    with pytest.raises(SchemaRefused, match=r"^/: the engine cannot be held to it \(Unable to determine if regex"):
        guarded({"type": "string", "pattern": "^.*(a.{20}|b.{30}|c.{40})$"})
