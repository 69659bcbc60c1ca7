"""The worker's version: in every result, in the User-Agent of downloads, and on the image as a label."""

__version__ = "0.1.0"
