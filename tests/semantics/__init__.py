"""Whole jobs about videos of which every scene is known: what the worker says must be true."""
