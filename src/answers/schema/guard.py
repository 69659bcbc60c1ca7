"""The guard between a caller's JSON Schema and the engine.

Some schemas stall every structured request of an engine, or end its process, and nothing that runs beside it can stop
that. So the guard lists what may pass, writes it anew and fills in every missing bound; all else is refused by name.
What is written allows a part of what the caller's schema allows, so an answer of the engine is valid for the caller.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from answers.schema import scalars
from answers.schema.objects import ARRAY_WORDS, OBJECT_WORDS, array, record_or_map
from answers.schema.rules import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ENGINE_BYTES,
    MAX_NODES,
    MAX_REFERENCES,
    Place,
    SchemaRefused,
    shown,
)
from answers.schema.unions import flattened, overlap
from records import AnswerSchema, Schema

ANNOTATIONS: Final = frozenset(
    [
        *("title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly"),
        *("discriminator", "propertyOrdering", "$schema", "$comment", "$defs", "definitions"),
    ]
)
"""They say nothing about what is valid."""
KEYWORDS: Final = {
    "object": OBJECT_WORDS,
    "array": ARRAY_WORDS,
    "string": scalars.STRING_WORDS,
    "integer": scalars.NUMBER_WORDS,
    "number": scalars.NUMBER_WORDS,
    "boolean": frozenset[str](),
    "null": frozenset[str](),
}
"""The keywords that apply to each type."""
ALONE: Final = ("$ref", "anyOf", "oneOf", "allOf")
"""Keywords beside which only annotations may stand."""
KNOWN: Final = frozenset[str]().union(["type", "enum", "const", "nullable", *ALONE], *KEYWORDS.values())
MAX_REFUSAL_CHARACTERS: Final = 100
RECURSIONS: Final = (5, 4, 3, 2)
"""How often a definition may stand inside itself: as often as the limits allow. 2 show every branch of a oneOf."""


class _TooLarge(SchemaRefused):
    """With fewer recursions the schema may fit."""


def guarded(schema: object) -> AnswerSchema:
    """Return a schema that the engine can serve: references written out, recursion cut off, every bound filled in.

    Its meaning is the caller's own schema without `$id`.

    Raises:
        SchemaRefused: says where and why.
    """
    if not isinstance(schema, dict):
        raise SchemaRefused("", "the schema must be an object")
    if _compact_bytes(schema) > MAX_BYTES:
        raise SchemaRefused("", f"the schema is larger than {MAX_BYTES} bytes")
    written = _written(schema)
    if written is None:
        raise SchemaRefused("", "the recursion never ends")
    if _compact_bytes(written) > MAX_ENGINE_BYTES:
        raise SchemaRefused("", f"the schema is larger than {MAX_ENGINE_BYTES} bytes with every reference written out")
    if refusal := _refusal_of_engine(written):
        raise SchemaRefused("", f"the engine cannot be held to it ({shown(refusal, MAX_REFUSAL_CHARACTERS)})")
    return AnswerSchema(written, {name: value for name, value in schema.items() if name != "$id"})


def _refusal_of_engine(schema: Schema) -> str:
    """What the engine's own checker says of a schema that the guard wrote, in milliseconds; empty if it takes it."""
    from llguidance import LLMatcher  # of use only where there is a schema

    refusal: str = LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    return refusal


def _compact_bytes(schema: Schema) -> int:
    try:
        return len(json.dumps(schema, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
    except RecursionError as exc:
        raise SchemaRefused("", "the schema is nested too deeply") from exc
    except (TypeError, ValueError) as exc:
        raise SchemaRefused("", "the schema holds a number or a character that JSON does not have") from exc


def _written(schema: Schema) -> Schema | None:
    for recursions in RECURSIONS[:-1]:
        try:
            return _Writer(schema, recursions).node(schema, Place())
        except _TooLarge:
            continue
    return _Writer(schema, RECURSIONS[-1]).node(schema, Place())


class _Writer:
    """Writes the engine's schema. A method returns None for a schema that no finite value fits."""

    def __init__(self, root: Schema, recursions: int) -> None:
        self._root = root
        self._recursions = recursions
        self._nodes = 0

    def node(self, schema: object, place: Place) -> Schema | None:
        """Write one schema and all inside it."""
        self._nodes += 1
        if place.depth > MAX_DEPTH or self._nodes > MAX_NODES:
            what = f"{MAX_DEPTH} levels" if place.depth > MAX_DEPTH else f"{MAX_NODES} parts"
            raise _TooLarge(place.where, f"the schema has more than {what} with every reference written out")
        if not isinstance(schema, dict):
            raise SchemaRefused(place.where, "a schema must be an object")
        words = {name: value for name, value in schema.items() if name not in ANNOTATIONS}
        if not place.where:
            words.pop("$id", None)  # anywhere else it would move what references point to
        if unknown := words.keys() - KNOWN:
            raise SchemaRefused(place.where, f"{shown(min(unknown))} is not supported")
        _allow_null(words, place.where)
        for name in ALONE:
            if name in words:
                if len(words) > 1:
                    raise SchemaRefused(place.where, f"{min(words.keys() - {name})} beside {name} is not supported")
                return self._alone(name, words[name], place)
        kinds = _kinds(words, place.where)
        if "enum" in words or "const" in words:
            return scalars.fixed_values(words, kinds, place.where)
        return _union([self._typed(kind, words, place) for kind in kinds])

    def _alone(self, name: str, value: Any, place: Place) -> Schema | None:
        if name == "$ref":
            return self._referred(value, place)
        if not isinstance(value, list) or not value:
            raise SchemaRefused(place.where, f"{name} must be a list with at least one schema")
        if name == "allOf" and len(value) > 1:
            raise SchemaRefused(place.where, "allOf of several schemas is not supported")
        branches = [self.node(branch, place.branch(name, index)) for index, branch in enumerate(value)]
        if name == "oneOf" and overlap([branch for branch in branches if branch is not None]):
            what = "oneOf branches must differ by type or by a required property with const or enum; or use anyOf"
            raise SchemaRefused(place.where, what)
        return _union(branches)

    def _referred(self, pointer: object, place: Place) -> Schema | None:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            raise SchemaRefused(place.where, "$ref must be local and begin with #/")
        target: Any = self._root
        for name in unquote(pointer).split("/")[1:]:
            target = target.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise SchemaRefused(place.where, f"$ref {shown(pointer)} leads nowhere")
        if pointer in place.straight:
            raise SchemaRefused(place.where, "$ref leads back to itself")
        if place.inside.count(pointer) >= self._recursions:
            return None
        if len(place.inside) >= MAX_REFERENCES:
            raise _TooLarge(place.where, f"more than {MAX_REFERENCES} references lead into each other")
        return self.node(target, place.behind(pointer))

    def _typed(self, kind: str, words: Mapping[str, Any], place: Place) -> Schema | None:
        own = {name: value for name, value in words.items() if name in KEYWORDS[kind]}
        if kind == "object":
            return record_or_map(own, place, self.node)
        if kind == "array":
            return array(own, place, self.node)
        if kind == "string":
            return scalars.string(own, place.where)
        return scalars.number(kind, own, place.where) if kind in {"integer", "number"} else {"type": kind}


def _union(branches: list[Schema | None]) -> Schema | None:
    """Write anyOf, for oneOf too: guidance refuses a oneOf of types that `overlap` finds apart."""
    finite = flattened([branch for branch in branches if branch is not None])
    return {"anyOf": finite} if len(finite) > 1 else finite[0] if finite else None


def _allow_null(words: Schema, where: str) -> None:
    """Replace OpenAPI's `nullable`, which JSON Schema ignores and guidance does not."""
    is_nullable = words.pop("nullable", False)
    if not isinstance(is_nullable, bool) or (is_nullable and "type" not in words):
        raise SchemaRefused(where, "nullable must be true or false and stand beside type")
    if is_nullable:
        kinds = words["type"] if isinstance(words["type"], list) else [words["type"]]
        words["type"] = [*kinds, "null"]


def _kinds(words: Mapping[str, Any], where: str) -> list[str]:
    """Return the types that a schema names or, where it names none, whose keywords it uses."""
    given = words.get("type", [kind for kind, own in KEYWORDS.items() if own & words.keys()])
    kinds = list(dict.fromkeys([given] if isinstance(given, str) else _strings(given)))
    has_fixed_values = "enum" in words or "const" in words
    if not set(kinds) <= KEYWORDS.keys() or ("type" in words and not kinds):
        raise SchemaRefused(where, f"type must be one of {', '.join(KEYWORDS)}, or a list of them")
    if "type" not in words and len(kinds) != 1 and not has_fixed_values:
        raise SchemaRefused(where, "type is missing")
    applying = frozenset(["type", "enum", "const"]).union(*(KEYWORDS[kind] for kind in kinds))
    if others := words.keys() - applying:
        raise SchemaRefused(where, f"{min(others)} does not apply to the type")
    return [kind for kind in kinds if kind != "integer" or "number" not in kinds]


def _strings(value: object) -> list[str]:
    """Return a list of strings as it is, and what names no type for anything else."""
    return value if isinstance(value, list) and all(isinstance(name, str) for name in value) else [""]
