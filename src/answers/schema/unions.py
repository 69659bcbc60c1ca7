"""Says whether two schemas that the guard has written share a value."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from answers.schema.scalars import fits, identity
from records import Schema


def flattened(branches: Sequence[Schema]) -> list[Schema]:
    """Return the branches, each anyOf among them replaced by its own."""
    return [inner for branch in branches for inner in branch.get("anyOf", [branch])]


def overlap(branches: Sequence[Schema]) -> bool:
    """Whether a value may fit two of the branches: false only where the type, or one required property, rules it out.

    Only types and fixed values are looked at: the guard writes these as the caller means them, and narrows all else.
    """
    return any(
        _overlap(left, right)
        for one, other in combinations(branches, 2)
        for left in flattened([one])
        for right in flattened([other])
    )


def _overlap(one: Schema, other: Schema) -> bool:
    if "enum" in one and "enum" in other:
        return bool(_identities(one) & _identities(other))
    if "enum" in one or "enum" in other:
        fixed, typed = (one, other) if "enum" in one else (other, one)
        return any(fits(value, [typed["type"]]) for value in fixed["enum"])
    if {one["type"], other["type"]} == {"object"}:
        return not any(_tells_apart(name, one, other) for name in {*one["required"], *other["required"]})
    return one["type"] == other["type"] or {one["type"], other["type"]} == {"integer", "number"}


def _tells_apart(name: str, one: Schema, other: Schema) -> bool:
    """Whether a property that one of two objects requires has no fixed value that both allow."""
    values = [record.get("properties", {}).get(name, {}) for record in (one, other)]
    return all("enum" in value for value in values) and not _identities(values[0]) & _identities(values[1])


def _identities(schema: Schema) -> set[tuple[bool, Any]]:
    return {identity(value) for value in schema["enum"]}
