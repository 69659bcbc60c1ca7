"""The inputs that the worker does not read rightly yet, and why. Once an input is read rightly, its test fails until
it is taken out of here."""

SWITCHED = "the last pictures before another codec are not decoded"
LOSS = "single wrong bits decode to wrong pictures without an error"
LIBAV_LOSES_ONE = "the picture that libav loses is not missed"

_NAMES: dict[str, tuple[str, ...]] = {
    SWITCHED: ("new_codec.ts",),
    LOSS: ("bits_hevc.mp4", "bits_vp9.mp4"),
    LIBAV_LOSES_ONE: ("empty_unit_before.ts",),
}  # fmt: skip
NOT_YET: dict[str, str] = {name: why for why, names in _NAMES.items() for name in names}
"""By the name of the input."""
