"""Starts, limits and confines the processes that read files from outside."""
