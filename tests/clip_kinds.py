"""Every codec in every container under every condition: how ffmpeg makes the clip, and what cannot be made."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import compress, product, starmap
from pathlib import Path

from clips import (
    CONSTANT,
    REPRODUCIBLE,
    X265_THREADS,
    Clip,
    ffmpeg,
    numbered_pictures,
    with_display_matrix,
    with_edit_list,
)

NUM_PICTURES = 30
TIMES_S = CONSTANT[:NUM_PICTURES]
# 60, 20 and 40 ms in turn, with a second of standstill in the middle: MPEG-2 has no finer clock.
VARIABLE_S = tuple(Fraction(2 * index + (index % 3 == 1) + 50 * (index > 15), 50) for index in range(NUM_PICTURES))
VARIABLE = "-vf settb=1/50,setpts=2*N+eq(mod(N\\,3)\\,1)+50*gt(N\\,15) -fps_mode passthrough -enc_time_base 1/50"
WEAVE = (
    "-vf tinterlace=interleave_{first},setfield={order},settb=1/25,setpts=N -fps_mode passthrough -enc_time_base 1/25 "
    "-flags +ildct+ilme"
)
PROCESSES = 2
CLOCKWISE = (0, 1, -1, 0)


@dataclass(frozen=True, slots=True)
class Codec:
    """ffmpeg's options for a keyframe every 10 pictures in closed groups, and more of them for some conditions."""

    options: str
    added: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Condition:
    """How a clip differs from the plain one, and what it shows."""

    options: str = ""
    """ffmpeg's, unless the codec has its own."""
    rewrite: Callable[[bytes], bytes] | None = None
    """Changes the file; a ValueError says that there is nothing to change."""
    times_s: Sequence[Fraction] = TIMES_S
    numbers: Sequence[int] = range(NUM_PICTURES)

    @property
    def is_of_a_copy(self) -> bool:
        """Plain clips are changed, and nothing is encoded."""
        return self.rewrite is not None and not self.options


H264 = "-c:v libx264 -preset ultrafast -g 10 -bf 3 -sc_threshold 0 -pix_fmt yuv420p"
HEVC = "-c:v libx265 -preset ultrafast -g 10 -bf 3 -sc_threshold 0 -pix_fmt yuv420p -x265-params "
HEVC_PARAMETERS = f"log-level=error:{X265_THREADS}:b-adapt=0:open-gop={{open_gop}}:b-pyramid={{b_pyramid}}"
MPEG = "-q 3 -g 10 -bf 2 -flags +cgop -sc_threshold 1000000000"
CODECS = {
    "h264": Codec(H264, {"B-pyramid": "-x264-params b-pyramid=normal", "open GOP": "-x264-params open-gop=1"}),
    "hevc": Codec(
        HEVC + HEVC_PARAMETERS.format(open_gop=0, b_pyramid=0),
        {
            "B-pyramid": f"-x265-params {HEVC_PARAMETERS.format(open_gop=0, b_pyramid=1)}",
            "open GOP": f"-x265-params {HEVC_PARAMETERS.format(open_gop=1, b_pyramid=0)}",
        },
    ),
    "av1": Codec("-c:v libsvtav1 -svtav1-params lp=1 -preset 12 -g 10 -pix_fmt yuv420p"),
    "vp9": Codec("-c:v libvpx-vp9 -cpu-used 8 -b:v 1M -g 10 -auto-alt-ref 1 -lag-in-frames 16"),
    "vp8": Codec("-c:v libvpx -cpu-used 5 -deadline realtime -b:v 1M -g 10"),
    "mpeg4": Codec(f"-c:v mpeg4 {MPEG}"),
    "mpeg2video": Codec(f"-c:v mpeg2video {MPEG}"),
    "mpeg1video": Codec(f"-c:v mpeg1video {MPEG}"),
    "prores": Codec("-c:v prores_ks -profile:v 0", {"10-bit": "-profile:v 3 -pix_fmt yuv422p10le"}),
    "mjpeg": Codec("-c:v mjpeg -q 3 -pix_fmt yuvj420p"),
    "theora": Codec("-c:v libtheora -q 8 -g 10"),
    "msmpeg4v3": Codec("-c:v msmpeg4 -q 3 -g 10"),
    "wmv2": Codec("-c:v wmv2 -q 3 -g 10"),
    "flv1": Codec("-c:v flv -q 3 -g 10"),
    "h263": Codec("-s 352x288 -c:v h263 -q 3 -g 10"),
}
"""By libav's names."""
PLAIN = "constant rate"
CONDITIONS = {
    PLAIN: Condition(),
    "variable rate": Condition(VARIABLE, times_s=VARIABLE_S),
    "rotated": Condition("-vf transpose=cclock", lambda content: with_display_matrix(content, *CLOCKWISE)),
    "edit list, start cut": Condition(
        rewrite=partial(with_edit_list, shown_s=[(0.6, 1.2)]), times_s=TIMES_S[:15], numbers=range(15, 30)
    ),
    "edit list, end cut": Condition(
        rewrite=partial(with_edit_list, shown_s=[(0.0, 0.8)]), times_s=TIMES_S[:20], numbers=range(20)
    ),
    "edit list, two parts": Condition(
        rewrite=partial(with_edit_list, shown_s=[(0.2, 0.6), (1.0, 1.2)]),
        times_s=TIMES_S[:15],
        numbers=[*range(5, 15), *range(25, 30)],
    ),
    "starts at 7 s": Condition("-output_ts_offset 7"),
    "starts before 0": Condition("-output_ts_offset 95441.8"),  # where the clock of 33 bits comes round
    "B-pyramid": Condition("-bf 7"),
    "open GOP": Condition("-flags -cgop"),
    "top field first": Condition(
        WEAVE.format(first="top", order="tff"),
        times_s=TIMES_S[: NUM_PICTURES // 2],
        numbers=range(0, NUM_PICTURES, 2),
    ),
    "bottom field first": Condition(
        WEAVE.format(first="bottom", order="bff"),
        times_s=TIMES_S[: NUM_PICTURES // 2],
        numbers=range(0, NUM_PICTURES, 2),
    ),
    "10-bit": Condition("-pix_fmt yuv420p10le"),
}
"""Of interlaced clips the number in the field that is shown first counts."""
CONTAINERS = {
    "mp4": "-f mp4",
    "fragmented mp4": "-f mp4 -movflags frag_keyframe+empty_moov",
    "mov": "-f mov",
    "3gp": "-f 3gp",
    "mkv": "-f matroska",
    "webm": "-f webm",
    "avi": "-f avi",
    "ts": "-f mpegts",
    "mpg": "-f vob",
    "flv": "-f flv",
    "ogv": "-f ogg",
    "wmv": "-f asf",
}
"""ffmpeg's options."""
MP4_CODECS = ["h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"]
TAKES = {
    "mp4": MP4_CODECS,
    "fragmented mp4": MP4_CODECS,
    "mov": [codec for codec in CODECS if codec not in {"av1", "vp9", "vp8"}],
    "3gp": ["h264", "mpeg4", "h263"],
    "mkv": [*CODECS],
    "webm": ["av1", "vp9", "vp8"],
    "avi": [codec for codec in CODECS if codec != "hevc"],
    "ts": ["h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video"],
    "mpg": ["h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video"],
    "flv": ["h264", "flv1"],
    "ogv": ["vp8", "theora"],
    "wmv": [codec for codec in CODECS if codec not in {"hevc", "prores"}],
}
"""The codecs for which a container has a name."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of clip."""

    codec: str
    container: str
    condition: str

    def __str__(self) -> str:
        return f"{self.codec}, {self.container}, {self.condition}"

    @property
    def shares_times(self) -> bool:
        """Only the first of several small pictures has a time in its container."""
        return self.container == "mpg" and self.codec in {"h264", "hevc"}

    @property
    def options(self) -> list[str]:
        """ffmpeg's for its output."""
        condition = CONDITIONS[self.condition].options
        added = CODECS[self.codec].added.get(self.condition, condition)
        return [*REPRODUCIBLE, *f"{CODECS[self.codec].options} {added} {CONTAINERS[self.container]}".split()]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Cells that cannot be made, and why; nothing named means all."""

    reason: str
    conditions: Sequence[str]
    codecs: Sequence[str] = ()
    containers: Sequence[str] = ()

    def __contains__(self, cell: Cell) -> bool:
        return (
            cell.condition in self.conditions
            and cell.codec in (self.codecs or CODECS)
            and cell.container in (self.containers or CONTAINERS)
        )

    def examples(self) -> Iterator[Cell]:
        """Cells with everything that is named at least once, of codecs that the containers take."""
        named = {*self.conditions, *self.codecs, *self.containers}
        for cell in starmap(Cell, product(self.codecs or CODECS, self.containers or CONTAINERS, self.conditions)):
            fresh = named & {cell.codec, cell.container, cell.condition}
            if cell.codec in TAKES[cell.container] and fresh:
                named -= fresh
                yield cell


def codecs_but(*names: str) -> list[str]:
    return [codec for codec in CODECS if codec not in names]


def containers_but(*names: str) -> list[str]:
    return [container for container in CONTAINERS if container not in names]


REORDERING = ["h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video"]
EDIT_LISTS = [name for name in CONDITIONS if name.startswith("edit list")]
FIELDS = ["top field first", "bottom field first"]
LEFT_OUT = [
    LeftOut(
        "no display matrix that ffmpeg writes",
        ["rotated"],
        containers=containers_but("mp4", "fragmented mp4", "mov", "3gp"),
    ),
    LeftOut("no edit list", EDIT_LISTS, containers=containers_but("mp4", "mov", "3gp")),
    LeftOut("libav splits its packets anew and shows what is hidden", EDIT_LISTS, ["mpeg1video"]),
    LeftOut("no times, only an order", ["starts at 7 s"], containers=["avi"]),
    LeftOut("no edit list to say it", ["starts at 7 s"], containers=["fragmented mp4"]),
    LeftOut("no clock that comes round", ["starts before 0"], containers=containers_but("ts", "mpg")),
    LeftOut("several pictures share a time", ["variable rate"], containers=["mpg"]),
    LeftOut("times of decoding, not of showing", ["variable rate"], REORDERING, ["avi"]),
    LeftOut("times of decoding, not of showing", ["variable rate"], ["h264", "mpeg2video", "mpeg1video"], ["wmv"]),
    LeftOut("one rate", ["variable rate"], containers=["ogv"]),
    LeftOut("no B pictures that others refer to", ["B-pyramid"], codecs_but("h264", "hevc")),
    LeftOut("no B pictures", ["open GOP"], codecs_but(*REORDERING)),
    LeftOut("no fields, or no encoder for them", FIELDS, codecs_but("h264", "mpeg4", "mpeg2video", "prores")),
    LeftOut("8 bits, or no encoder for more", ["10-bit"], codecs_but("h264", "hevc", "av1", "vp9", "prores")),
]


def all_cells() -> Iterator[Cell]:
    """Every kind of clip that can be made."""
    for cell in starmap(Cell, product(CODECS, CONTAINERS, CONDITIONS)):
        if cell.codec in TAKES[cell.container] and not any(cell in left_out for left_out in LEFT_OUT):
            yield cell


class KindStore:
    """Makes clips in a directory; all of a codec at once, in one process of ffmpeg for every condition."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def clip(self, cell: Cell) -> Clip:
        """A clip that can be made."""
        path = self._path(cell)
        if not path.exists():
            self._make_all(cell.codec)
        condition = CONDITIONS[cell.condition]
        return Clip(path, condition.times_s, condition.numbers)

    def attempts(self, cells: Sequence[Cell]) -> list[tuple[Cell, Path]]:
        """Clips that cannot be made, as they are instead; none where ffmpeg refuses or there is nothing to change."""
        with ThreadPoolExecutor(PROCESSES) as pool:
            made = list(pool.map(self._is_made, cells))
        return [(cell, self._path(cell)) for cell in compress(cells, made)]

    def _is_made(self, cell: Cell) -> bool:
        try:
            self._make([cell])
        except (subprocess.CalledProcessError, ValueError):
            return False
        return True

    def _make_all(self, codec: str) -> None:
        encoded, copied = defaultdict[str, list[Cell]](list), list[Cell]()
        for cell in all_cells():
            if cell.codec == codec:
                (copied if CONDITIONS[cell.condition].is_of_a_copy else encoded[cell.condition]).append(cell)
        with ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(self._make, encoded.values()))
        for cell in copied:
            self._rewrite(cell, self._path(replace(cell, condition=PLAIN)))

    def _make(self, cells: list[Cell]) -> None:
        outputs = [word for cell in cells for word in (*cell.options, str(self._path(cell)))]
        ffmpeg(*outputs, pictures=numbered_pictures(NUM_PICTURES))
        for cell in cells:
            self._rewrite(cell, self._path(cell))

    def _rewrite(self, cell: Cell, source: Path) -> None:
        if rewrite := CONDITIONS[cell.condition].rewrite:
            self._path(cell).write_bytes(rewrite(source.read_bytes()))

    def _path(self, cell: Cell) -> Path:
        return self._directory / f"{cell}".replace(", ", "-").replace(" ", "-")
