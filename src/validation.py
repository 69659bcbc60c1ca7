"""Says in plain English what pydantic found wrong with the fields of an input."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

NO_WHOLE_NUMBER, NO_NUMBER, NO_BOOL = "must be a whole number", "must be a number", "must be true or false"
SENTENCES = {
    "missing": "is missing",
    "string_type": "must be a string",
    "string_unicode": "holds half a character, which is no text",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must not be blank",
    "int_type": NO_WHOLE_NUMBER,
    "int_parsing": NO_WHOLE_NUMBER,
    "int_from_float": NO_WHOLE_NUMBER,
    "float_type": NO_NUMBER,
    "float_parsing": NO_NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": NO_BOOL,
    "bool_parsing": NO_BOOL,
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "path_type": "must be a path",
    "tuple_type": "must be a comma-separated list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "recursion_loop": "is nested too deeply",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} entries",
}
"""What is said after the field's name, by pydantic's type of error; the braces name values of the error's context."""
MIN_LIKENESS = 0.6
"""Of 1, as difflib counts. With less, `estimate` would be meant by `messages`."""


def fault_sentences(error: ValidationError, known: Collection[str], meant: Mapping[str, str]) -> list[str]:
    """Return a sentence without a full stop for each fault; none repeats a value.

    Args:
        error: of a model whose fields are flat.
        known: the names of the model's fields.
        meant: the field that a name from elsewhere stands for.
    """
    sentences = [_sentence(fault, known, meant) for fault in error.errors(include_input=False, include_url=False)]
    return list(dict.fromkeys(sentences))


def likely_name(name: str, known: Collection[str], meant: Mapping[str, str]) -> str | None:
    """Return the field that somebody who wrote `name` wanted, if it can be guessed."""
    close = get_close_matches(name.lower(), known, n=1, cutoff=MIN_LIKENESS)
    return meant.get(name.lower()) or (close[0] if close else None)


def _sentence(fault: Mapping[str, Any], known: Collection[str], meant: Mapping[str, str]) -> str:
    context, kind = fault.get("ctx", {}), fault["type"]
    name = _name(fault["loc"])
    if kind == "value_error":  # raised by a validator of ours, whose sentence it is
        return f"{name}: {context['error']}" if name else str(context["error"])
    if kind == "extra_forbidden":
        guess = likely_name(name, known, meant)
        return f"{name} is unknown" + (f" (did you mean {guess}?)" if guess else "")
    if kind == "string_too_short":
        return f"{name} must not be empty"
    template = SENTENCES.get(kind)
    return f"{name} {template.format(**context)}" if template else f"{name}: {fault['msg']}"


def _name(place: Sequence[str | int]) -> str:
    """The name of a field, and of an entry in it if it is a list: `prompts[1]`; empty where no field is to blame."""
    if not place:
        return ""
    return f"{place[0]}[{place[1]}]" if len(place) > 1 and isinstance(place[1], int) else str(place[0])
