"""The vLLM engine: its arguments, its start and end, and one request at a time."""
