"""Films with one keyframe or none, asked for their keyframes."""

from dataclasses import replace
from functools import partial

from foreign.case import Foreign, Right, whole
from foreign.media import H264, HEVC, REFRESH, film

FILM = whole(200)
SAID = Right(FILM.parts, "partial", (0.1, 0.99), says=("keyframe",))
"""The message tells the reason: there is no keyframe in most chunks."""
ONE = H264.replace("-g 50 -bf 2", "-g 9999 -sc_threshold 0 -bf 0")
ONE_HEVC = HEVC.replace("keyint=50", "keyint=-1")
KIND = "keyframes"


def keyframes(name: str, options: str, *, is_quick: bool = False) -> Foreign:
    make = partial(film, f"a.{name.split('.')[1]}", options, num_pictures=200)
    return Foreign(name, KIND, make, replace(FILM), (SAID,), sample_fps=2, sampling="keyframes", is_quick=is_quick)


INPUTS = [
    keyframes("one_keyframe.mp4", ONE, is_quick=True),
    keyframes("one_keyframe.mkv", ONE),
    keyframes("one_keyframe_hevc.mp4", ONE_HEVC),
    keyframes("intra_refresh.ts", REFRESH),
    keyframes("intra_refresh.mp4", REFRESH),
    Foreign("intra_refresh_uniform.ts", KIND, partial(film, "a.ts", REFRESH), whole(100)),
    Foreign("all_sync.mp4", KIND, lambda: film("a.mp4").replace(b"stss", b"free", 1), whole(100)),
]
