"""A value for every option that the two command lines share, and the job's fields that it gives."""

from pathlib import Path
from typing import Any

WRITTEN_AS_NAMED = {
    "system_prompt": "Be brief.", "max_tokens": 9, "temperature": 0.5, "top_p": 0.5, "top_k": 3,
    "presence_penalty": -0.5, "chunk_duration": 20.0, "start_time": "1:30", "end_time": "95", "sample_fps": 1.0,
    "max_frames": 8, "resolution": "low", "sampling": "adaptive", "output": "when", "max_seconds": 60.0,
    "max_cost_usd": 0.5, "seed": 3,
}  # fmt: skip
FIELDS_GIVEN: dict[str, Any] = WRITTEN_AS_NAMED | {
    "estimate": True, "aggregate": False, "response_schema": {"type": "array"},
}  # fmt: skip


def every_option(directory: Path) -> list[str]:
    """Return the options that give FIELDS_GIVEN and a first stop, END; the schema is written to a file."""
    schema = directory / "schema.json"
    schema.write_text('{"type": "array"}')
    options = [f"--{name.replace('_', '-')}={value}" for name, value in WRITTEN_AS_NAMED.items()]
    return [*options, "--estimate", "--no-aggregate", "--stop=END", f"--response-schema={schema}"]
