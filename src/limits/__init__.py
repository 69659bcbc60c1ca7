"""Bounds on memory."""
