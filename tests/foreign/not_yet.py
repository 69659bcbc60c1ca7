"""The inputs that the worker does not read rightly yet, and why. Once an input is read rightly, its test fails until
it is taken out of here."""

LOSS = "single wrong bits decode to wrong pictures without an error"

_NAMES: dict[str, tuple[str, ...]] = {
    LOSS: ("bits_hevc.mp4", "bits_vp9.mp4"),
}  # fmt: skip
NOT_YET: dict[str, str] = {name: why for why, names in _NAMES.items() for name in names}
"""By the name of the input."""
