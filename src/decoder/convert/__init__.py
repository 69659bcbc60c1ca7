"""Decoded pictures to RGB pixels as displayed."""
