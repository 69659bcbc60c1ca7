"""Real-world files end as they should; the folder and its list are not part of the project."""

import json
import os
import re
import subprocess
from bisect import bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Self

import pytest

from config import Settings
from decoding import assert_same, decode_all_packets, decode_needed_packets, order_for, probed
from errors import MediaError
from frame_extractor import FrameExtractor

CORPUS = Path(os.environ.get("MEDIA_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
FPS, LONGEST_S = 2, 30
"""Of longer files the beginning is compared with a full decode."""
ODD_FPS, LONGEST_PART_S = 7, 4
"""A rate that no file has, so that most instants lie between pictures; a part of a file at its start or its middle."""


CODES = {
    "no_video": {"NO_VIDEO_STREAM"},
    "encrypted": {"ENCRYPTED_VIDEO"},
    "encrypted/undecodable": {"ENCRYPTED_VIDEO", "NO_FRAMES", "UNREADABLE_VIDEO"},
    "unreadable": {"UNREADABLE_VIDEO", "NO_VIDEO_STREAM"},
    "no_decodable_frames": {"NO_FRAMES", "UNREADABLE_VIDEO", "UNSUPPORTED_CODEC"},
}
"""By the list's reason to reject a file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, how many pictures ffmpeg decodes of it, and what a worker should do with it."""

    name: str
    pictures: int
    expectation: str

    @property
    def is_whole(self) -> bool:
        """All its packets are pictures; what a decoder makes up for damage depends on all that came before."""
        return self.expectation.startswith("ACCEPT") and "partial" not in self.expectation


def entries() -> list[Entry]:
    manifest = CORPUS / "MANIFEST.md"
    lines = manifest.read_text().splitlines() if manifest.exists() else []
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith("|")]
    return [Entry(row[0], int(row[4]), row[5]) for row in rows if len(row) == 6 and row[4].isdigit()]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
async def test_a_file_ends_as_its_list_expects(entry: Entry):
    path = CORPUS / entry.name
    extractor = FrameExtractor(Settings())
    if entry.expectation.startswith("REJECT"):
        with pytest.raises(MediaError) as refusal:
            await extractor.get_video_info(path)
        assert refusal.value.code in CODES[entry.expectation.split()[1]]
        return

    info = await extractor.get_video_info(path)

    turn_deg = re.search(r"rotation (-?\d+)", entry.expectation)
    assert info.rotation_deg == (-int(turn_deg[1]) % 360 if turn_deg else 0)  # the list counts as ffprobe does
    order = order_for(path, Fraction(FPS))
    order = replace(order, stop=min(order.stop, FPS * LONGEST_S))
    sparse = decode_needed_packets(path, order)
    assert sparse.shown
    if entry.is_whole:
        assert info.num_frames == pictures_of(entry)
        assert sparse.damaged == 0
        assert_same(sparse, decode_all_packets(path, order))


COUNTED_FROM_THE_FIRST_STREAM = frozenset(["mpegts", "mpeg", "flv"])
"""Players let these clocks begin with the first stream, and all others at 0."""
LARGER_STREAM = {"torchcodec__nasa_13013.mp4": ("3", 390)}
"""Files of which the list counts the pictures of the first stream, although viewers show another: its index, and how
many pictures that one has."""


def pictures_of(entry: Entry) -> int:
    return LARGER_STREAM[entry.name][1] if entry.name in LARGER_STREAM else entry.pictures


@dataclass(frozen=True, slots=True)
class Shown:
    """When ffprobe says that a file's clock and its pictures start, in seconds; it knows nothing of the worker."""

    clock_start_s: Fraction
    times_s: list[Fraction]

    @classmethod
    def of(cls, path: Path) -> Self:
        entries = "format=start_time,format_name:stream=time_base:packet=pts,flags"
        command = [
            "ffprobe",
            "-v",
            "error",
            "-select_streams",
            LARGER_STREAM[path.name][0] if path.name in LARGER_STREAM else "V:0",
            "-show_entries",
            entries,
            "-of",
            "json",
            str(path),
        ]
        told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        tick_s = Fraction(told["streams"][0]["time_base"])
        shown = [packet for packet in told["packets"] if "D" not in packet["flags"]]  # not hidden by an edit list
        clock_start_s = Fraction(told["format"]["start_time"])
        if told["format"]["format_name"] not in COUNTED_FROM_THE_FIRST_STREAM:
            clock_start_s = min(clock_start_s, Fraction(0))
        return cls(clock_start_s, sorted(packet["pts"] * tick_s for packet in shown))


@pytest.mark.parametrize("entry", [entry for entry in entries() if entry.is_whole], ids=lambda entry: entry.name)
def test_pictures_are_on_screen_when_another_program_says_from_the_start_and_from_the_middle(entry: Entry):
    path = CORPUS / entry.name
    told = Shown.of(path)
    first_s = told.times_s[0]
    assert len(told.times_s) == pictures_of(entry)
    start_s = max(0, float(first_s - told.clock_start_s))
    assert probed(path).start_s == pytest.approx(start_s, abs=0.025)  # the sound's encoder delay

    whole = order_for(path, Fraction(ODD_FPS))
    for start in (0, whole.stop // 2):
        order = replace(whole, start=start, stop=min(whole.stop, start + ODD_FPS * LONGEST_PART_S))
        seen_s = {
            index: pts * order.info.time_base_s
            for first, stop, pts in decode_needed_packets(path, order).shown
            for index in range(first, stop)
        }
        on_screen_s = {index: first_s + Fraction(index, ODD_FPS) for index in range(order.start, order.stop)}
        assert seen_s.keys() >= {index for index, at_s in on_screen_s.items() if at_s <= told.times_s[-1]}
        assert seen_s == {index: told.times_s[bisect_right(told.times_s, on_screen_s[index]) - 1] for index in seen_s}
