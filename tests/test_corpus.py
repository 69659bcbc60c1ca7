"""Real-world files end as they should; the folder and its list are not part of the project."""

import os
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest

from config import Settings
from decoding import assert_same, decoded_sparsely, decoded_whole, plan_of
from errors import MediaError
from frame_extractor import FrameExtractor

CORPUS = Path(os.environ.get("MEDIA_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
FPS, LONGEST_S = 2, 30
"""Of longer files the beginning is compared with a full decode."""


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
    plan = plan_of(path, Fraction(FPS))
    plan = replace(plan, stop=min(plan.stop, FPS * LONGEST_S))
    sparse = decoded_sparsely(plan)
    assert sparse.shown
    if "partial" not in entry.expectation:  # what a decoder makes up for damage depends on all that came before
        assert info.num_frames == entry.pictures
        assert sparse.damaged == 0
        assert_same(sparse, decoded_whole(plan))
