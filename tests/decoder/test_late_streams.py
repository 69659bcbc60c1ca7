"""Streams that appear after a file was opened change nothing about the film, and PyAV never reads past its table.

The table has a byte for each stream that there was when demuxing began. What lies after it is not zero here, as
`MALLOC_PERTURB_` asks of glibc: read as part of the table it stands for a stream that was asked for, which is an
IndexError at the end of the file.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clips import CONSTANT_RATE, H264, ClipStore, ffmpeg, numbered_pictures
from decoding import probed

SOURCE = Path(__file__).parents[2] / "src"
PERTURBED = os.environ | {"MALLOC_PERTURB_": "85", "PYTHONPATH": f"{SOURCE}:{SOURCE.parent / 'tests'}"}
SEE = """
import sys
from fractions import Fraction
from pathlib import Path
from clips import number_in
from decoding import decode_needed_packets, order_for
order = order_for(Path(sys.argv[1]), Fraction(25), int(sys.argv[2]))
decoded = decode_needed_packets(Path(sys.argv[1]), order)
print(*(number_in(pixels) for shown, pixels in zip(decoded.shown, decoded.pixels) for _ in range(shown[0], shown[1])))
"""
OPTIONS = {"flv": H264, "ts": H264, "mpg": CONSTANT_RATE["mpeg2.mpg"]}
FLV_HEADER_BYTES = 13
PICTURES = 225
LATE_S = 8
"""libav looks for streams in the first seven seconds of such files."""


def seen(path: Path, first_index: int = 0) -> list[int]:
    """The numbers of the pictures on screen from an instant on, read by a process whose memory is not zero."""
    command = [sys.executable, "-c", SEE, str(path), str(first_index)]
    output = subprocess.run(command, env=PERTURBED, capture_output=True, check=False, text=True)
    assert not output.returncode, output.stderr
    return [*map(int, output.stdout.split())]


def film(clips: ClipStore, name: str) -> Path:
    return clips.encode(name, OPTIONS[name.rpartition(".")[2]], numbered_pictures(PICTURES))


def flv_tags(flv: bytes) -> list[tuple[int, bytes]]:
    """The tags of an FLV with their times in milliseconds."""
    tags, at = [], FLV_HEADER_BYTES
    while at + 11 <= len(flv):
        end = at + 15 + int.from_bytes(flv[at + 1 : at + 4], "big")
        tags.append((int.from_bytes(flv[at + 4 : at + 7], "big"), flv[at:end]))
        at = end
    return tags


def with_tags(flv: bytes, added: list[tuple[int, bytes]]) -> bytes:
    """An FLV with more tags, each at its time."""
    tags = sorted(flv_tags(flv) + added, key=lambda tag: tag[0])
    return flv[:FLV_HEADER_BYTES] + b"".join(tag[:4] + time.to_bytes(3, "big") + tag[7:] for time, tag in tags)


def late_sound_flv(clips: ClipStore) -> Path:
    sound = clips.write("sound.flv", b"")
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono", "-t", "1", "-c:a", "aac", sound)
    tags = [(time + 1000 * LATE_S, tag) for time, tag in flv_tags(sound.read_bytes()) if tag[0] == 8]
    return clips.write("late-sound.flv", with_tags(film(clips, "mute.flv").read_bytes(), tags))


def late_caption_flv(clips: ClipStore) -> Path:
    def text(word: bytes) -> bytes:
        return struct.pack(">H", len(word)) + word

    body = b"\x02" + text(b"onTextData") + b"\x08\0\0\0\x01" + text(b"text") + b"\x02" + text(b"hello") + b"\0\0\x09"
    tag = bytes([18]) + len(body).to_bytes(3, "big") + bytes(7) + body
    tag += struct.pack(">I", len(tag))
    return clips.write("late-caption.flv", with_tags(film(clips, "mute.flv").read_bytes(), [(1000 * LATE_S, tag)]))


def late_sound(clips: ClipStore, name: str, container: str) -> Path:
    """A film after which a recording of sound alone is appended."""
    mute, sound = film(clips, f"mute.{name}"), clips.write(f"sound.{name}", b"")
    options = f"-c:a mp2 -output_ts_offset {LATE_S} -mpegts_start_pid 0x300 -f {container}"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono", "-t", "1", *options.split(), sound)
    return clips.write(f"late-sound.{name}", mute.read_bytes() + sound.read_bytes())


def late_sound_ts(clips: ClipStore) -> Path:
    return late_sound(clips, "ts", "mpegts")


def late_sound_mpg(clips: ClipStore) -> Path:
    return late_sound(clips, "mpg", "mpeg")


def other_programme_ts(clips: ClipStore) -> Path:
    """A second programme of sound alone, announced where it begins."""
    sound = clips.write("programme.ts", b"")
    options = f"-c:a mp2 -output_ts_offset {LATE_S} -mpegts_pmt_start_pid 0x1100 -mpegts_service_id 2"
    silence = "-f lavfi -i anullsrc=r=48000:cl=mono -t 1"
    ffmpeg(*silence.split(), *options.split(), "-mpegts_start_pid", "0x300", sound)
    return clips.write("late-programme.ts", film(clips, "mute.ts").read_bytes() + sound.read_bytes())


@pytest.mark.parametrize(
    "make",
    [late_sound_flv, late_caption_flv, late_sound_ts, late_sound_mpg, other_programme_ts],
    ids=lambda make: make.__name__,
)
def test_the_film_is_whole_from_the_start_and_from_the_middle(make: Callable[[ClipStore], Path], clips: ClipStore):
    path = make(clips)

    assert seen(path) == [*range(PICTURES)]
    assert seen(path, 100) == [*range(100, PICTURES)]
    info = probed(path)
    assert (info.num_frames, info.duration_s, info.truncated) == (PICTURES, pytest.approx(PICTURES / 25), False)
    assert not info.is_joined


def test_a_file_with_late_streams_is_still_decoded_from_where_it_is_needed(clips: ClipStore):
    path = other_programme_ts(clips)

    assert [part.has_late_streams for part in probed(path).parts] == [True]
    assert probed(path).seekable


def test_a_file_without_late_streams_is_opened_as_ever(clips: ClipStore):
    assert probed(clips.clip("h264.ts").path).parts == ()
    assert probed(clips.clip("h264.flv").path).parts == ()
