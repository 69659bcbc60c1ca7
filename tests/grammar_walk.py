"""Compiles schemas as vLLM's guidance backend does and writes random answers. A program: a bad schema can end it.

Reads a JSON object {"schemas": [...], "walks": n} from its standard input; writes a list with an object for each
schema: `error`, and `answers`, each with its text and whether it ended by itself.
"""

import json
import random
import resource
import sys

import llguidance

MEMORY_BYTES = 2 * 2**30
MAX_TOKENS = 400
WORDS = b"abcdefghijklmnopqrstuvwxyz0123456789 .:-"
"""What a walk prefers, so that its answers hold more than rare characters."""


def walk(matcher: llguidance.LLMatcher, chance: random.Random) -> tuple[str, bool]:
    """Return a random text, and whether it ended by itself. After half of the tokens it ends wherever it can."""
    matcher.reset()
    text = bytearray()
    for step in range(MAX_TOKENS):
        if matcher.is_stopped() or (matcher.is_accepting() and chance.random() < 0.1):
            return text.decode(), not matcher.is_error()
        mask = matcher.compute_bitmask()
        allowed = [byte for byte in range(256) if mask[byte // 8] >> (byte % 8) & 1]
        if not allowed:  # the end of text alone may follow, or nothing
            return text.decode(), matcher.is_accepting()
        closing = [byte for byte in allowed if byte in (b'"' if text.count(b'"') % 2 else b'"]}')]
        words = [byte for byte in allowed if byte in WORDS]
        wants_end = chance.random() < (0.1 if step < MAX_TOKENS // 2 else 1)
        byte = chance.choice(
            closing if closing and wants_end else words if words and chance.random() < 0.8 else allowed
        )
        text.append(byte)
        matcher.consume_token(byte)
    return text.decode(errors="replace"), False


def examine(schema: object, walks: int) -> dict[str, object]:
    """Compile one schema twice, as vLLM does, and walk through its answers."""
    tokenizer = llguidance.LLTokenizer("byte")
    text = json.dumps(schema)
    error = ""
    for is_flexible in (True, False):  # vLLM validates with its default and compiles without white space
        grammar = llguidance.LLMatcher.grammar_from_json_schema(text, defaults={"whitespace_flexible": is_flexible})
        error = error or llguidance.LLMatcher.validate_grammar(grammar)
    matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
    answers = [] if error else [walk(matcher, random.Random(seed)) for seed in range(walks)]
    return {"error": error or matcher.get_error(), "answers": answers}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    order = json.load(sys.stdin)
    json.dump([examine(schema, order["walks"]) for schema in order["schemas"]], sys.stdout)
