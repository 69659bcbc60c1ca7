"""Operating the worker: fitness checks, logs, and what must not enter them."""
