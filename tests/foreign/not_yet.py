"""The inputs that the worker does not read rightly yet, and why. Once an input is read rightly, its test fails until
it is taken out of here."""

SWITCHED = "the last pictures before another codec are not decoded"
LOSS = "what is damaged in the middle of a packet is not always found"
PTS = "H.264 without a time in most packets is not interpolated"
DTS = "without any times of showing, the time of decoding is taken, although pictures are reordered"
LIBAV_LOSES_ONE = "the picture that libav loses is not missed"

_NAMES: dict[str, tuple[str, ...]] = {
    SWITCHED: ("new_codec.ts",),
    LOSS: ("zeros_hevc.mp4", "noise_vp9.mp4", "noise_av1.mp4", "bits_hevc.mp4", "bits_vp9.mp4"),
    PTS: ("sparse_pts_h264.ts", "sparse_pts_h264_b.ts", "sei_turn.ts"),
    DTS: ("vfw_h264_b.mkv",),
    LIBAV_LOSES_ONE: ("empty_unit_before.ts",),
}  # fmt: skip
NOT_YET: dict[str, str] = {name: why for why, names in _NAMES.items() for name in names}
"""By the name of the input."""
