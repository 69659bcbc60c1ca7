"""Strings, numbers and fixed values of a guarded schema. Each is written anew, with every bound filled in.

What is written allows a part of what the caller's schema allows, never anything else.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from answers.schema.patterns import PatternRefused, extent_of
from answers.schema.rules import MAX_LENGTH, MAX_NUMBER, MAX_VALUES, SchemaRefused, range_of
from records import Schema

STRING_WORDS: Final = frozenset(["minLength", "maxLength", "pattern", "format"])
NUMBER_WORDS: Final = frozenset(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"])
FILLED_IN_LENGTH: Final = 1_000
"""Characters: a long paragraph. A string that is closed by its bound looks whole, so the bound is far from usual use;
a caller who wants more says so, up to MAX_LENGTH."""
FILLED_IN_PATTERN_LENGTH: Final = 300
"""guidance must show that some string fits the pattern and the length, which it gives up for long ones."""
STEPS: Final = frozenset(
    Fraction(text)
    for text in (
        *("0.000001", "0.00001", "0.0001", "0.001", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.25", "0.5"),
        *("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "12", "15", "20", "24", "25", "30", "50", "60", "90"),
        *("100", "1000"),
    )
)
"""What `multipleOf` may say. Large or odd values have stalled and ended engines."""
FINE_STEP: Final = Fraction(1, 1_000_000)
COARSE_STEP: Final = Fraction(1, 1_000)
SAFE_DIGITS: Final = 15
"""So many decimal digits survive a float, so that what was checked is what a client reads."""
YEAR: Final = "[12][0-9]{3}"
LEAP_YEAR: Final = "(?:[12][0-9](?:0[48]|[2468][048]|[13579][26])|(?:1[26]|2[048])00)"
DATE: Final = (
    f"(?:{YEAR}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    f"|{LEAP_YEAR}-02-29)"
)
TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
HEXADECIMAL: Final = "[0-9a-f]"
FORMATS: Final = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "duration": "PT(?:(?:[0-9]{1,2}H)?[0-9]{1,2}M)?[0-9]{1,2}S",
    "uuid": f"{HEXADECIMAL}{{8}}-(?:{HEXADECIMAL}{{4}}-){{3}}{HEXADECIMAL}{{12}}",
}
"""guidance's own date allows 29 February in every year, and its date-time has no longest value."""


def fixed_values(words: Mapping[str, Any], kinds: list[str], where: str) -> Schema:
    """Write `enum`, `const`, or both. Objects and lists are left out: a schema says the same."""
    if extra := words.keys() - {"enum", "const", "type"}:
        raise SchemaRefused(where, f"{min(extra)} beside fixed values is not supported")
    values = words.get("enum", [words.get("const")])
    if not isinstance(values, list) or not values:
        raise SchemaRefused(where, "enum must be a list with at least one value")
    if len(values) > MAX_VALUES:
        raise SchemaRefused(where, f"enum has more than {MAX_VALUES} values")
    if any(isinstance(value, (dict, list)) for value in (*values, words.get("const"))):
        raise SchemaRefused(where, "a fixed value must be a string, a number, true, false or null")
    if any(kind_of(value) in {"integer", "number"} and abs(value) > MAX_NUMBER for value in values):
        raise SchemaRefused(where, f"a fixed number is above {MAX_NUMBER}")
    fitting = {identity(value): value for value in values if not kinds or fits(value, kinds)}
    if "const" in words:
        fitting = {key: value for key, value in fitting.items() if key == identity(words["const"])}
    if not fitting:
        raise SchemaRefused(where, "no fixed value fits the other keywords")
    return {"enum": list(fitting.values())}


def kind_of(value: object) -> str:
    """Return the narrowest JSON type of a value that is neither object nor list."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    return "integer" if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else "number"


def fits(value: object, kinds: list[str]) -> bool:
    """Whether a value is of one of these types."""
    kind = kind_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)


def identity(value: Any) -> tuple[bool, Any]:
    """Return what tells two fixed values apart: true is not 1, and 1.0 is."""
    return isinstance(value, bool), value


def string(words: Mapping[str, Any], where: str) -> Schema:
    """Write a string that ends."""
    if "format" in words:
        return _formatted(words, where)
    if "pattern" in words:
        return _patterned(words, where)
    shortest, longest = range_of(words, "Length", MAX_LENGTH, where, FILLED_IN_LENGTH)
    return {"type": "string", "minLength": shortest, "maxLength": longest}


def _formatted(words: Mapping[str, Any], where: str) -> Schema:
    name = words["format"]
    if not isinstance(name, str) or name not in FORMATS:
        raise SchemaRefused(where, f"format must be one of {', '.join(FORMATS)}")
    if extra := words.keys() - {"type", "format"}:
        raise SchemaRefused(where, f"{min(extra)} beside format is not supported")
    return {"type": "string", "pattern": f"^{FORMATS[name]}$"}


def _patterned(words: Mapping[str, Any], where: str) -> Schema:
    """Write a pattern, with a longest length only where it has none of its own."""
    pattern = words["pattern"]
    if not isinstance(pattern, str):
        raise SchemaRefused(where, "pattern must be a string")
    try:
        extent = extent_of(pattern)
    except PatternRefused as refused:
        raise SchemaRefused(where, str(refused)) from refused
    shortest, longest = range_of(words, "Length", MAX_LENGTH, where, FILLED_IN_PATTERN_LENGTH)
    if shortest > extent.shortest:
        raise SchemaRefused(where, "minLength beside pattern is not supported: let the pattern ask for the length")
    if extent.shortest > longest:
        raise SchemaRefused(where, "maxLength is below the pattern's shortest string")
    written: Schema = {"type": "string", "pattern": pattern}
    if extent.longest is None or extent.longest > longest:
        written["maxLength"] = longest
    return written


def number(kind: str, words: Mapping[str, Any], where: str) -> Schema:
    """Write an integer or a number between two bounds.

    Bounds are moved to the nearest value inside, as far as MAX_NUMBER: zod writes those of a float's integers.
    """
    limits = {name: _limit(words[name], name, where) for name in NUMBER_WORDS & words.keys()}
    step = _step(kind, limits, where)
    furthest = min(Fraction(MAX_NUMBER), step * 10**SAFE_DIGITS)
    lows = [math.ceil(max(limits.get("minimum", -furthest), -furthest) / step)]
    highs = [math.floor(min(limits.get("maximum", furthest), furthest) / step)]
    if "exclusiveMinimum" in limits:
        lows.append(math.floor(limits["exclusiveMinimum"] / step) + 1)
    if "exclusiveMaximum" in limits:
        highs.append(math.ceil(limits["exclusiveMaximum"] / step) - 1)
    first, last = max(lows), min(highs)
    if first > last:
        raise SchemaRefused(where, f"no multiple of {float(step):g} up to {MAX_NUMBER} lies between the bounds")
    low, high = first * step, last * step
    if kind == "integer" and step == 1:
        return {"type": kind, "minimum": _plain(low), "maximum": _plain(high)}
    if low < 0 and "multipleOf" in limits:  # guidance takes no minus sign beside it, and then ends without an answer
        raise SchemaRefused(where, "multipleOf needs a minimum of 0 or above")
    return _with_last_digit(kind, low, high, step)


def _with_last_digit(kind: str, low: Fraction, high: Fraction, step: Fraction) -> Schema:
    """Write a number that ends: `multipleOf` is what forbids endless digits after the point.

    guidance knows no way to end those of a negative number; here max_tokens alone is left.
    """
    negative = {"type": kind, "minimum": _plain(low), "maximum": _plain(min(high, -step))}
    positive = {"type": kind, "minimum": _plain(max(low, Fraction(0))), "maximum": _plain(high)}
    branches = [{**positive, "multipleOf": _plain(step)}] if high >= 0 else []
    branches += [negative] if low < 0 else []
    return {"anyOf": branches} if len(branches) > 1 else branches[0]


def _limit(value: object, name: str, where: str) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, (int, float)):  # draft 4 wrote exclusiveMinimum: true
        raise SchemaRefused(where, f"{name} must be a number")
    return Fraction(Decimal(repr(value)))


def _step(kind: str, limits: Mapping[str, Fraction], where: str) -> Fraction:
    """Return what every value that is written is a multiple of."""
    if "multipleOf" in limits:
        step = limits["multipleOf"]
        if step not in STEPS or (kind == "integer" and step.denominator > 1):
            raise SchemaRefused(where, "multipleOf must be one of 1 to 10, 0.1, 0.01, 0.001, 0.5, 0.25 and the like")
        return step
    if kind == "integer":
        return Fraction(1)
    is_small = all(abs(limit) <= FINE_STEP * 10**SAFE_DIGITS for limit in limits.values())
    return FINE_STEP if is_small else COARSE_STEP


def _plain(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)
