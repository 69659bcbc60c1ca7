"""Reads a model's JSON answer and checks it against the schema that the caller sent."""

import json
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NoReturn

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from pydantic_core import SchemaValidator, core_schema
from pydantic_core import ValidationError as PatternMismatch

from answers.schema.rules import shown
from records import Schema

MAX_INTEGER_DIGITS: Final = 300
"""A longer one is infinite to a client that reads numbers as floats, and Python refuses to read one of 4,301."""
SHOWN_PATH_CHARACTERS: Final = 60


class InvalidAnswer(ValueError):
    """A text that is no JSON, or not what the schema asks for; the message is one sentence."""


def read_json(text: str, schema: Schema) -> Any:
    """Return the JSON value that a text stands for.

    A number with a point or an exponent becomes the float that any client would read, and that float is checked, as the
    decimal number in which it is written: to binary arithmetic 50419.2 is no multiple of 0.1.

    Args:
        text: the whole answer of the model.
        schema: the meaning of an AnswerSchema.

    Raises:
        InvalidAnswer: says where and what.
    """
    try:
        value = json.loads(
            text, parse_float=_decimal, parse_int=_integer, parse_constant=_refuse, object_pairs_hook=_object
        )
        _check(value, schema)
        plain = _plain(value)
    except json.JSONDecodeError as exc:
        raise InvalidAnswer(f"The answer is not JSON from character {exc.pos + 1} on.") from exc
    except UnicodeEncodeError as exc:
        raise InvalidAnswer("The answer holds half a character, which is no text.") from exc
    except RecursionError as exc:
        raise InvalidAnswer("The answer is nested too deeply.") from exc
    return plain


def _check(value: object, schema: Schema) -> None:
    exact_schema = json.loads(json.dumps(schema), parse_float=Decimal)
    fault = next(_Validator(exact_schema).iter_errors(value), None)
    if fault is not None:
        where = "".join(f"/{step}" for step in fault.absolute_path)
        raise InvalidAnswer(f"The answer breaks {fault.validator} at {shown(where, SHOWN_PATH_CHARACTERS) or '/'}.")


def _decimal(digits: str) -> Decimal:
    value = float(digits)
    if not math.isfinite(value):
        raise InvalidAnswer("The answer holds a number that is too large.")
    return Decimal(repr(value))


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS:
        raise InvalidAnswer("The answer holds a number that is too large.")
    return int(digits)


def _refuse(name: str) -> NoReturn:
    raise InvalidAnswer(f"The answer holds {name}, which JSON does not have.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that has a key twice: readers do not agree on its meaning."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise InvalidAnswer("The answer has an object with the same key twice.")
    return value


def _plain(value: Any) -> Any:
    """Return a value without Decimals, all of whose strings are text."""
    if isinstance(value, dict):
        return {_plain(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        value.encode()
    return float(value) if isinstance(value, Decimal) else value


def _is_multiple(_: object, step: Decimal | int, value: object, __: object) -> Iterator[ValidationError]:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool) and not _divides(step, value):
        yield ValidationError("not a multiple")


def _divides(step: Decimal | int, value: Decimal | int) -> bool:
    """Whether `value / step` is whole, exactly: Decimal's own remainder gives up beyond 28 digits."""
    numerator, denominator = value.as_integer_ratio()
    step_numerator, step_denominator = step.as_integer_ratio()
    return (numerator * step_denominator) % (denominator * step_numerator) == 0


def _has_pattern(_: object, pattern: str, value: object, __: object) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _is_found(pattern, value):
        yield ValidationError("not the pattern")


def _is_found(pattern: str, text: str) -> bool:
    """Search in linear time, which Python's `re` does not promise: the pattern is the caller's."""
    try:
        _searcher(pattern).validate_python(text)
    except PatternMismatch:
        return False
    return True


@lru_cache(maxsize=256)
def _searcher(pattern: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))


def _has_type(validator: Any, kinds: str | list[str], value: object, schema: Mapping[str, Any]) -> Iterator[Any]:
    """Check `type` with OpenAPI's `nullable`, which the guard takes as well."""
    allowed = [kinds] if isinstance(kinds, str) else kinds
    is_null = value is None and schema.get("nullable") is True
    if not is_null and not any(validator.is_type(value, kind) for kind in allowed):
        yield ValidationError("another type")


def _is_number(_: object, value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _is_integer(_: object, value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool) and value == int(value)


_Validator = extend(
    Draft202012Validator,
    {"multipleOf": _is_multiple, "pattern": _has_pattern, "type": _has_type},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many({"number": _is_number, "integer": _is_integer}),
)
