"""The child program that opens files from outside. It runs confined; the worker never imports it."""
