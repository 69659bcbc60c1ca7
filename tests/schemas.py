"""Schemas as callers write them, and values that fit what the guard makes of them."""

import datetime as dt
import enum
import re
import uuid
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

from records import Schema


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Car(BaseModel):
    kind: Literal["car"]
    doors: int = Field(ge=2, le=5)


class Boat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["boat", "ship"]
    length_m: float = Field(gt=0, lt=500)


class Scene(BaseModel):
    """A scene and what it is made of."""

    title: str
    scenes: list["Scene"] = []
    before: "Scene | None" = None


class Event(BaseModel):
    """An event."""

    start_s: float = Field(ge=0, multiple_of=0.1, description="seconds", examples=[1.5])
    text: str = Field(max_length=300)
    tags: list[str] = []


FIELDS: dict[str, Any] = {
    "text": str,
    "bounded text": Annotated[str, Field(min_length=2, max_length=9)],
    "clock": Annotated[str, Field(pattern=r"^\d{2}:[0-5]\d(:[0-5]\d)?$")],
    "open pattern": Annotated[str, Field(pattern=r"[A-Z]+-\d+", min_length=1, max_length=40)],
    "not blank": Annotated[str, Field(pattern=r"\S")],
    "integer": int,
    "year": Annotated[int, Field(ge=1900, lt=2100)],
    "even": Annotated[int, Field(multiple_of=2, gt=-2)],
    "number": float,
    "mood": Annotated[float, Field(ge=-1, le=1)],
    "loss": Annotated[float, Field(lt=0)],
    "share": Annotated[float, Field(gt=0, le=1)],
    "price": Annotated[float, Field(ge=0, multiple_of=0.01)],
    "decimal": Decimal,
    "flag": bool,
    "nothing": None,
    "optional": int | None,
    "union": int | str | list[bool],
    "literal": Literal["x", 1] | None,
    "enum": Colour,
    "list": Annotated[list[int], Field(min_length=1, max_length=3)],
    "tuple": tuple[int, str, Colour],
    "same tuple": tuple[float, ...],
    "nested": list[Event],
    "discriminated": Annotated[Car | Boat, Field(discriminator="kind")],
    "counts": dict[str, int],
    "short keys": dict[Annotated[str, Field(max_length=5)], bool],
    "literal keys": dict[Literal["a", "b"], int],
    "enum keys": dict[Colour, Event],
    "date": dt.date,
    "time": dt.time,
    "date and time": dt.datetime,
    "duration": dt.timedelta,
    "uuid": uuid.UUID,
    "recursive": Scene,
}
ZOD: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "count": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
        "score": {"default": 0.5, "type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "one": {"type": "string", "const": "one"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
        "free": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "number"}},
        "fixed": {
            "type": "object",
            "propertyNames": {"type": "string", "enum": ["x", "y"]},
            "additionalProperties": {"type": "boolean"},
            "required": ["x", "y"],
        },
        "loose": {"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": {}},
        "children": {"type": "array", "items": {"$ref": "#"}},
    },
    "required": ["name", "count", "score", "kind", "one", "maybe", "pair", "free", "fixed"],
    "additionalProperties": False,
}
OPENAI: Schema = {
    "type": "object",
    "properties": {
        "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
        "final": {"type": ["string", "null"], "description": "an answer", "maxLength": 20},
    },
    "$defs": {
        "step": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/step"}, {"type": "null"}]}, "text": {"type": "string"}},
            "required": ["next", "text"],
            "additionalProperties": False,
        }
    },
    "required": ["steps", "final"],
    "additionalProperties": False,
}
BY_HAND: dict[str, Schema] = {
    "nullable": {"type": "string", "maxLength": 5, "nullable": True},
    "no type, but properties": {"properties": {"a": {"type": "integer"}, "b": {"const": 1e-7}}, "required": ["a"]},
    "an id": {
        "$id": "https://example.com/answer",
        "$ref": "#/definitions/~1a~0",
        "definitions": {"/a~": {"enum": [1.0, "é"]}},
    },
    "oneOf by type": {"oneOf": [{"type": "integer"}, {"type": ["string", "null"]}, {"enum": [True, 0.5]}]},
    "allOf of one": {"allOf": [{"type": "number", "minimum": -0.5, "exclusiveMaximum": 0.25}]},
    "a list that must be empty": {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    "an empty object": {"type": "object", "properties": {}},
    "odd names": {
        "type": "object",
        "properties": {'"é/~': {"type": "null"}, "type": {"type": "null"}},
        "required": ['"é/~', "type"],
    },
    "bounded keys": {"additionalProperties": {"type": "integer", "minimum": 0, "maximum": 9}, "maxProperties": 3},
}


def of_field(kind: Any) -> Schema:
    """Return what pydantic writes for a model with one field of a kind."""
    return create_model("Answer", answer=(kind, ...)).model_json_schema()


def strict(kind: Any) -> Schema:
    """Return it as the OpenAI SDK sends it."""
    from openai.lib._pydantic import to_strict_json_schema

    return to_strict_json_schema(create_model("Answer", answer=(kind, ...)))


ACCEPTED: dict[str, Schema] = {name: of_field(kind) for name, kind in FIELDS.items()}
ACCEPTED |= {"zod": ZOD, "openai": OPENAI, **BY_HAND}


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that fit a schema which the guard wrote."""
    if "anyOf" in schema:
        return st.one_of([values(branch) for branch in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    of_kind = {"object": _objects, "array": _arrays, "string": _strings, "integer": _numbers, "number": _numbers}
    if schema["type"] in of_kind:
        return of_kind[schema["type"]](schema)
    return st.booleans() if schema["type"] == "boolean" else st.none()


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    longest = schema.get("maxLength", 1000)
    if "pattern" not in schema:
        return st.text(min_size=schema["minLength"], max_size=longest)
    texts = st.from_regex(re.compile(schema["pattern"], re.ASCII)).map(str.rstrip)
    return texts.filter(lambda text: re.search(schema["pattern"], text) and len(text) <= longest)


def _arrays(schema: Schema) -> st.SearchStrategy[list[Any]]:
    if "prefixItems" in schema:
        return st.tuples(*map(values, schema["prefixItems"])).map(list)
    least = schema.get("minItems", 0)
    return st.lists(values(schema["items"]), min_size=least, max_size=min(schema["maxItems"], least + 2))


def _numbers(schema: Schema) -> st.SearchStrategy[int | float]:
    if schema["type"] == "number" and "multipleOf" not in schema:
        return st.floats(schema["minimum"], schema["maximum"])
    step = Decimal(repr(schema.get("multipleOf", 1)))
    first, last = (int(Decimal(repr(schema[name])) / step) for name in ("minimum", "maximum"))
    multiples = st.sampled_from([first, last]) | st.integers(first, last)
    return multiples.map(lambda multiple: float(multiple * step) if multiple * step % 1 else int(multiple * step))


def _objects(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "patternProperties" in schema:
        ((pattern, value),) = schema["patternProperties"].items()
        least = schema["minProperties"]
        keys = st.from_regex(pattern, fullmatch=True)
        return st.dictionaries(keys, values(value), min_size=least, max_size=min(schema["maxProperties"], least + 2))
    every = {name: values(value) for name, value in schema["properties"].items()}
    required = {name: value for name, value in every.items() if name in schema["required"]}
    return st.fixed_dictionaries(
        required, optional={name: value for name, value in every.items() if name not in required}
    )


def _with_keywords(kind: str, keywords: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Schema]:
    return st.fixed_dictionaries({"type": st.just(kind)}, optional=keywords)


SMALL = st.integers(0, 4)
NUMBERS = st.integers(-9, 9) | st.sampled_from([-0.75, 0.1, 2.5, 1e11, -1e12, 1e13, 1e-9])
BOUNDS = dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], NUMBERS)
PATTERNS = st.sampled_from(
    [r"^a+$", r"b", r"^\d{1,3}(,\d{3})*$", r"^[^\s]\w$", r"^a|b$", r"\.", "^(?:x|yz){2,4}$", "^$", "^.*$"]
)
FIXED = st.none() | st.booleans() | NUMBERS | st.text(max_size=3)
LEAVES = st.one_of(
    _with_keywords("string", {"minLength": SMALL, "maxLength": SMALL}),
    _with_keywords("string", {"pattern": PATTERNS, "maxLength": SMALL}),
    _with_keywords("string", {"format": st.sampled_from(["date", "time", "uuid", "email", "date-time", "duration"])}),
    _with_keywords("integer", {**BOUNDS, "multipleOf": st.sampled_from([1, 3, 60, 0.5])}),
    _with_keywords("number", {**BOUNDS, "multipleOf": st.sampled_from([1, 0.05, 0.001, 0.3])}),
    st.fixed_dictionaries(
        {"enum": st.lists(FIXED, max_size=4)}, optional={"type": st.sampled_from(["string", "number"])}
    ),
    FIXED.map(lambda value: {"const": value}),
    st.sampled_from([{"type": "null"}, {"type": "boolean"}, {"type": "string", "nullable": True}]),
    st.sampled_from([{"type": ["integer", "null"], "maximum": 3}, {"$ref": "#"}, {"$ref": "#/$defs/shared"}]),
)
NAMES = st.sampled_from(["a", "b", "type", "é/~"])


def _around(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    properties = st.dictionaries(NAMES, inner, max_size=3)
    required = st.lists(NAMES, max_size=2, unique=True)
    some = partial(st.lists, inner, min_size=1, max_size=3)
    return st.one_of(
        _with_keywords("array", {"items": inner, "minItems": SMALL, "maxItems": SMALL}),
        some().map(lambda places: {"type": "array", "prefixItems": places}),
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": properties},
            optional={"required": required, "additionalProperties": st.booleans()},
        ),
        _with_keywords("object", {"additionalProperties": inner, "minProperties": SMALL, "maxProperties": SMALL}),
        some().map(lambda branches: {"anyOf": branches}),
        some().map(lambda branches: {"oneOf": branches}),
    )


CALLERS = st.builds(
    lambda schema, shared: {**schema, "$defs": {"shared": shared}},
    st.recursive(LEAVES, _around, max_leaves=8),
    st.recursive(LEAVES, _around, max_leaves=3),
)
"""Schemas of which the guard takes some."""
