#!/usr/bin/env bash
# llguidance writes no negative number where a JSON Schema has multipleOf, although it accepts the schema.
#
# Guess: {"type": "number", "minimum": -2, "maximum": 2, "multipleOf": 0.5} lets the nine numbers from -2 to 2 through,
# and {"minimum": -2, "maximum": -1, "multipleOf": 0.5} the three from -2 to -1: LLMatcher.validate_grammar finds nothing
# wrong with either, and a keyword that the library does not support it refuses by name.
#
# Behaviour: in the first schema the minus sign is never allowed, so that half of the values cannot be written and
# nobody is told. In the second one nothing at all is allowed: a request that is held to it ends without an answer.
# Without multipleOf both ranges are as one expects.
#
# Source: JSON Schema 2020-12 validation, 6.2.1: a number is valid if division by multipleOf gives an integer, as that of
# -1.5 by 0.5 does.
#
# Versions: llguidance 1.7.6. vLLM 0.32 uses it as its structured-output back end `guidance`.
# Date: 2026-12-01.
# Output seen:
#   -2 to 2: minus sign allowed
#   -2 to 2 in halves: minus sign forbidden
#   -2 to -1: minus sign allowed
#   -2 to -1 in halves: minus sign forbidden, nothing allowed
#   finding holds
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check llguidance==1.7.6 numpy==2.4.2

venv/bin/python - <<'PYTHON'
import json

import llguidance
import llguidance.numpy
from llguidance import LLMatcher, LLTokenizer

tokenizer = LLTokenizer("byte")
MINUS = tokenizer.tokenize_str("-")[0]


def first_tokens(schema):
    """Whether the minus sign, and whether anything, may begin a number of a schema."""
    assert LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(json.dumps(schema)), tokenizer) == ""
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(json.dumps(schema)))
    mask = llguidance.numpy.allocate_token_bitmask(1, tokenizer.vocab_size)
    llguidance.numpy.fill_next_token_bitmask(matcher, mask)
    allowed = {token for token in range(tokenizer.vocab_size) if mask[0, token // 32] >> (token % 32) & 1}
    return MINUS in allowed, bool(allowed - {tokenizer.eos_token})


found = {}
for most in (2, -1):
    for steps in ({}, {"multipleOf": 0.5}):
        schema = {"type": "number", "minimum": -2, "maximum": most, **steps}
        has_minus, has_any = first_tokens(schema)
        found[most, bool(steps)] = (has_minus, has_any)
        words = f"minus sign {'allowed' if has_minus else 'forbidden'}{'' if has_any else ', nothing allowed'}"
        print(f"-2 to {most}{' in halves' if steps else ''}: {words}")
assert found == {
    (2, False): (True, True), (2, True): (False, True), (-1, False): (True, True), (-1, True): (False, False),
}, found
print("finding holds")
PYTHON
