"""The inputs that the worker does not read rightly yet, and why. Once an input is read rightly, its test fails until
it is taken out of here."""

LOSS = "single wrong bits decode to wrong pictures without an error"

NOT_YET = {"bits_hevc.mp4": LOSS, "bits_vp9.mp4": LOSS}
"""By the name of the input."""
