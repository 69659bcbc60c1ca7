"""Reads JSON that a model wrote."""

import json
from collections.abc import Mapping

import jsonschema

from records import Json


class InvalidAnswer(ValueError):
    """The text is not JSON of the schema."""


def read_json(text: str, schema: Mapping[str, Json]) -> Json:
    """Return what the JSON holds."""
    try:
        told: Json = json.loads(text)
        jsonschema.Draft202012Validator(dict(schema)).validate(told)
    except (ValueError, jsonschema.ValidationError) as exc:
        raise InvalidAnswer(str(exc)[:80]) from exc
    return told
