"""Objects and arrays of a guarded schema, written anew with an end.

Every function takes `write`, which writes a schema inside and returns None where no finite value fits it, and returns
None itself where no finite value fits the whole.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from answers.schema.rules import MAX_COUNT, Place, SchemaRefused, range_of
from records import Schema

OBJECT_WORDS: Final = frozenset(
    ["properties", "required", "additionalProperties", "propertyNames", "minProperties", "maxProperties"]
)
ARRAY_WORDS: Final = frozenset(["items", "prefixItems", "minItems", "maxItems"])
FILLED_IN_ITEMS: Final = 100
"""A chunk of video shows fewer events than that. A list that is closed by its bound looks whole; a caller who wants
more says so, up to MAX_COUNT."""
FILLED_IN_ENTRIES: Final = 50
MAX_KEY_LENGTH: Final = 60

Write = Callable[[object, Place], Schema | None]


def array(words: Mapping[str, Any], place: Place, write: Write) -> Schema | None:
    """Write a list or a tuple."""
    if "prefixItems" in words:
        return _tuple(words, place, write)
    if "items" not in words:
        raise SchemaRefused(place.where, "an array needs items")
    if isinstance(words["items"], list):
        raise SchemaRefused(place.where, "items must be one schema; a tuple has prefixItems")
    least, most = range_of(words, "Items", MAX_COUNT, place.where, FILLED_IN_ITEMS)
    items = write(words["items"], place.below("items"))
    if items is None or not most:
        return None if least else {"type": "array", "items": {"type": "null"}, "maxItems": 0}
    return {"type": "array", "items": items, "minItems": least, "maxItems": most}


def _tuple(words: Mapping[str, Any], place: Place, write: Write) -> Schema | None:
    """Write a tuple with all its places, which zod and pydantic mean also where they leave out minItems and items."""
    places = words["prefixItems"]
    if not isinstance(places, list) or not places:
        raise SchemaRefused(place.where, "prefixItems must be a list with at least one schema")
    if words.get("items", False) is not False:
        raise SchemaRefused(place.where, "items beside prefixItems must be false")
    size = len(places)
    least, most = range_of(words, "Items", MAX_COUNT, place.where, size)
    if not least <= size <= most:
        raise SchemaRefused(place.where, "minItems and maxItems must fit prefixItems")
    written = [write(schema, place.below("prefixItems", index)) for index, schema in enumerate(places)]
    if None in written:
        return None
    return {"type": "array", "prefixItems": written, "items": False, "minItems": size, "maxItems": size}


def record_or_map(words: Mapping[str, Any], place: Place, write: Write) -> Schema | None:
    """Write an object: with the properties that it names, or with free keys and values of one kind."""
    properties, others = words.get("properties", {}), words.get("additionalProperties")
    if not isinstance(properties, dict):
        raise SchemaRefused(place.where, "properties must be an object")
    if isinstance(others, dict) and others:
        if properties:
            raise SchemaRefused(place.where, "additionalProperties with a schema beside properties is not supported")
        return _map(words, place, write)
    if others not in (None, True, False, {}) or ("additionalProperties" in words and others is None):
        raise SchemaRefused(place.where, "additionalProperties must be true, false or a schema")
    if not properties and others is not False and ("properties" not in words or others is not None):
        raise SchemaRefused(place.where, "an object without properties needs additionalProperties with a schema")
    if extra := words.keys() & {"propertyNames", "minProperties", "maxProperties"}:
        raise SchemaRefused(place.where, f"{min(extra)} beside properties is not supported")
    return _record(properties, words.get("required", []), place, write)


def _record(properties: Mapping[str, object], required: object, place: Place, write: Write) -> Schema | None:
    """Write an object with these properties alone: guidance would let an open one go on without end."""
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise SchemaRefused(place.where, "required must be a list of names")
    if not properties.keys() >= set(required):
        raise SchemaRefused(place.where, "required names something that properties does not")
    written = {name: write(schema, place.below("properties", name)) for name, schema in properties.items()}
    finite = {name: schema for name, schema in written.items() if schema is not None}
    if not finite.keys() >= set(required):
        return None
    unique = list(dict.fromkeys(required))
    return {"type": "object", "properties": finite, "required": unique, "additionalProperties": False}


def _map(words: Mapping[str, Any], place: Place, write: Write) -> Schema | None:
    """Write an object with free keys.

    guidance refuses propertyNames and lets a key go on without end. It keeps to a pattern of keys and to maxProperties.
    """
    names = write(words.get("propertyNames", {"type": "string"}), place.below("propertyNames")) or {}
    if "enum" in names and all(isinstance(name, str) for name in names["enum"]):
        if extra := words.keys() & {"minProperties", "maxProperties"}:
            raise SchemaRefused(place.where, f"{min(extra)} beside fixed names is not supported")
        properties = dict.fromkeys(names["enum"], words["additionalProperties"])
        return _record(properties, words.get("required", []), place, write)
    if names.get("type") != "string" or "pattern" in names or words.get("required"):
        raise SchemaRefused(place.where, "free keys may have minLength, maxLength or an enum in propertyNames, no more")
    shortest, longest = max(names["minLength"], 1), min(names["maxLength"], MAX_KEY_LENGTH)
    if shortest > longest:
        raise SchemaRefused(place.where, f"a key must have 1 to {MAX_KEY_LENGTH} characters")
    least, most = range_of(words, "Properties", MAX_COUNT, place.where, FILLED_IN_ENTRIES)
    value = write(words["additionalProperties"], place.below("additionalProperties"))
    if value is None or not most:
        return None if least else {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    keys = {f"^(?s:.){{{shortest},{longest}}}$": value}
    bounds = {"minProperties": least, "maxProperties": most}
    return {"type": "object", "patternProperties": keys, "required": [], "additionalProperties": False, **bounds}
