"""Limits on the memory that the jobs of a worker take together."""
