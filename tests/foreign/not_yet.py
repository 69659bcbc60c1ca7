"""The inputs that the worker does not read rightly yet, and why. Once an input is read rightly, its test fails until
it is taken out of here."""

LOSS = "single wrong bits decode to wrong pictures without an error"
RECOVERY = "pictures that intra refresh has repaired, without a keyframe, count as decoded from lost ones for ever"
BROKEN_LINK = "the leading pictures that a broken link leaves out count as lost, and all pictures after them as damaged"

_NAMES: dict[str, tuple[str, ...]] = {
    LOSS: ("bits_hevc.mp4", "bits_vp9.mp4"),
    RECOVERY: ("joined_midway_refresh.ts", "zeros_h264_refresh.mp4"),
    BROKEN_LINK: ("broken_links_pyramid.mp4", "broken_links_pyramid.ts", "broken_links_pyramid.mkv"),
}  # fmt: skip
NOT_YET: dict[str, str] = {name: why for why, names in _NAMES.items() for name in names}
"""By the name of the input."""
