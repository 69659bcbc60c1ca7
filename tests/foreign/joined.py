"""Recordings put one after the other in a file, each with its own header and clock."""

from functools import partial

from foreign.case import Foreign, Part, Right, whole
from foreign.media import FRAGMENTED, H264, VP8, VP9, film, remuxed

NO_B = H264.replace("-bf 2", "-bf 0")
"""Without an edit list, pictures in B order begin a little later than 0."""
FILM = whole(200)
FIRST_HALF = Right(FILM.parts, "partial", (0.4, 0.6))
"""The second recording is not read, and the result does not call it seen."""


def joined(name: str, options: str) -> bytes:
    """Two recordings of four seconds whose clocks both start at 0."""
    return film(name, options) + film(name, options, first=100)


def clock_jump(hours: int) -> bytes:
    """A transport stream of two parts; the second one's clock is hours ahead, as after a restart."""
    return _parts(hours * 3600)


def real_gap() -> bytes:
    """A transport stream that pauses for six seconds."""
    return _parts(10)


def _parts(second_s: int) -> bytes:
    """Two parts that begin on one clock at 1 s and so many seconds later."""
    first = remuxed("a.ts", "-c copy -output_ts_offset 1", film("a.mkv"))
    return first + remuxed("b.ts", f"-c copy -output_ts_offset {1 + second_s}", film("a.mkv", first=100))


GAP = Right((Part(0, 4, 0), Part(10, 14, 100)), duration_s=14, num_pictures=200)
KIND = "joined"
INPUTS = [
    Foreign("joined.webm", KIND, partial(joined, "a.webm", f"{VP8} -live 1"), FILM, (FIRST_HALF,), is_quick=True),
    Foreign("joined_vp9.webm", KIND, partial(joined, "a.webm", f"{VP9} -live 1"), FILM, (FIRST_HALF,)),
    Foreign("joined.mkv", KIND, partial(joined, "a.mkv", H264), FILM, (FIRST_HALF,)),
    Foreign("joined_fragments.mp4", KIND, partial(joined, "a.mp4", f"{NO_B} {FRAGMENTED}"), FILM, (FIRST_HALF,)),
    Foreign("joined.mp4", KIND, partial(joined, "a.mp4", H264), FILM, (FIRST_HALF,)),
    Foreign("joined.ogv", KIND, partial(joined, "a.ogv", "-c:v libtheora -q 8 -g 25"), FILM, (FIRST_HALF,)),
    Foreign("joined.wmv", KIND, partial(joined, "a.wmv", "-c:v wmv2 -q 3 -g 25"), FILM, (FIRST_HALF,)),
    Foreign("joined.ts", KIND, partial(joined, "a.ts", H264), FILM),
    Foreign("clock_20_h_ahead.ts", KIND, partial(clock_jump, 20), FILM, is_quick=True),
    Foreign("clock_25_h_ahead.ts", KIND, partial(clock_jump, 25), FILM),
    Foreign("gap_of_6_s.ts", KIND, real_gap, GAP, (FILM,)),
]
