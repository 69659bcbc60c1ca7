"""A film begins and ends when it does in a player: its start on the clock, and until when its last picture stays."""

import re
import struct
from fractions import Fraction
from pathlib import Path

import pytest

from clips import H264, VP8, ClipStore, ffmpeg, number_in, numbered_pictures
from decoding import decode_needed_packets, order_for, probed

PICTURES = 10
"""One a second."""
HOLD_S = 69
SLOW = "-vf settb=1/1000,setpts=1000*N -fps_mode passthrough -enc_time_base 1/1000"
SILENCE = "-f lavfi -i anullsrc=r=48000:cl=mono"


def slow_film(clips: ClipStore, name: str, options: str) -> Path:
    return clips.encode(name, f"{SLOW} {options}", numbered_pictures(PICTURES))


def with_sound(clips: ClipStore, name: str, film: Path, codec: str, options: str = "") -> Path:
    """A film whose sound goes on until HOLD_S."""
    path = clips.write(name, b"")
    ffmpeg("-i", film, *f"-f lavfi -t {HOLD_S} -i anullsrc=r=48000:cl=mono".split(), "-c:v", "copy",
           "-c:a", *codec.split(), *options.split(), path)  # fmt: skip
    return path


def last_shown_s(path: Path) -> float:
    """When the last picture disappears as the decoder says it, from the first picture on."""
    decoded = decode_needed_packets(path, order_for(path, Fraction(4)))
    assert number_in(decoded.pixels[-1]) == PICTURES - 1
    return decoded.shown[-1][1] / 4


@pytest.mark.parametrize(
    ("name", "film", "codec", "options"),
    [
        ("live.webm", VP8, "libopus", "-f webm -live 1"),
        ("whole.webm", VP8, "libopus", ""),
        ("sound.mkv", f"{H264} -bf 0", "libopus", ""),
        ("sound.flv", f"{H264} -bf 0", "aac", ""),
        ("sound.ts", f"{H264} -bf 0", "mp2", ""),
    ],
)
def test_the_last_picture_stays_until_the_sound_ends(name: str, film: str, codec: str, options: str, clips: ClipStore):
    path = with_sound(clips, name, slow_film(clips, f"slow-{name.partition('.')[0]}.mkv", film), codec, options)
    info = probed(path)

    assert (info.duration_s, info.num_frames) == (pytest.approx(HOLD_S, abs=0.3), PICTURES)
    assert (info.truncated, info.missing_s, info.sound_after_s) == (False, 0, 0)
    assert last_shown_s(path) >= HOLD_S - 0.5


def test_where_every_picture_has_a_duration_the_sound_after_the_last_one_is_told(clips: ClipStore):
    path = with_sound(clips, "sound.mp4", one_a_second(clips), "aac")
    info = probed(path)

    assert info.duration_s == pytest.approx(PICTURES, abs=0.1)
    assert info.sound_after_s == pytest.approx(HOLD_S - PICTURES, abs=0.3)
    assert probed(with_sound(clips, "fits.mp4", path, "aac", f"-t {PICTURES}")).sound_after_s == 0


def one_a_second(clips: ClipStore) -> Path:
    return clips.encode("one-a-second.mp4", f"{H264} -bf 0 -vf setpts=25*N -r 1", numbered_pictures(PICTURES))


def held(clips: ClipStore, name: str, options: str = "") -> Path:
    """A film whose last picture lasts for a minute."""
    path = clips.write(name, b"")
    lengthen = f"setts=duration=if(eq(N\\,{PICTURES - 1})\\,60*DURATION\\,DURATION)"
    ffmpeg("-i", one_a_second(clips), "-c", "copy", "-bsf:v", lengthen, *options.split(), path)
    return path


def test_a_last_picture_that_lasts_a_minute_is_no_truncation(clips: ClipStore):
    path = held(clips, "held.mkv")
    info = probed(path)

    assert (info.num_frames, info.duration_s) == (PICTURES, pytest.approx(HOLD_S))
    assert (info.truncated, info.missing_s) == (False, 0)
    assert last_shown_s(path) == pytest.approx(HOLD_S, abs=0.26)


@pytest.mark.parametrize("share", [0.7, 0.8, 0.95])
def test_a_matroska_of_which_the_end_is_missing_is_told(share: float, clips: ClipStore):
    whole = held(clips, "held.mkv").read_bytes()
    info = probed(clips.write(f"cut-{share}.mkv", whole[: int(len(whole) * share)]))

    assert info.truncated
    assert info.duration_s + info.missing_s == pytest.approx(HOLD_S, abs=0.01)
    assert info.missing_s > 0


@pytest.mark.parametrize(
    ("name", "options", "start_s"),
    [
        ("empty-edit.mp4", "-output_ts_offset 1.5", 1.5),
        ("late.mkv", "-output_ts_offset 1.5", 1.5),
        ("late.webm", "-output_ts_offset 1.5", 1.5),
        ("no-edit-list.mp4", "-movflags frag_keyframe+empty_moov -use_editlist 0", 0.08),
        ("late.ts", "-output_ts_offset 1.5", 0),
        ("late.flv", "-output_ts_offset 1.5", 0),
        ("wall-clock.mkv", "-output_ts_offset 1780000000", 0),
    ],
)
def test_the_first_picture_is_shown_when_players_show_it(name: str, options: str, start_s: float, clips: ClipStore):
    path = clips.encode(f"start-{name}", f"{VP8 if name.endswith('webm') else H264} {options}", numbered_pictures(30))

    assert probed(path).start_s == pytest.approx(start_s, abs=0.002)


def test_a_fragmented_mp4_whose_clock_tells_the_time_of_day_counts_from_its_start(clips: ClipStore):
    fragments = clips.encode("from-zero.mp4", f"{H264} -bf 0 -movflags frag_keyframe+empty_moov", numbered_pictures(30))
    field = re.compile(rb"(tfdt\x01\0\0\0)(.{8})", re.DOTALL)  # ISO/IEC 14496-12, 8.8.12
    later = field.sub(
        lambda match: match[1] + struct.pack(">Q", struct.unpack(">Q", match[2])[0] + 1_780_000_000 * 12_800),
        fragments.read_bytes(),
    )

    assert probed(clips.write("time-of-day.mp4", later)).start_s == 0


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "flv"])
def test_pictures_that_begin_after_the_sound_keep_their_delay(container: str, clips: ClipStore):
    film = clips.encode("delayed.mkv", f"{H264} -bf 0", numbered_pictures(30))
    path = film.with_name(f"after-sound.{container}")
    sound = f"-f lavfi -t 4 -i anullsrc=r=48000:cl=mono -itsoffset 1.5 -i {film} -c:v copy -c:a aac"
    ffmpeg(*sound.split(), path)

    assert probed(path).start_s == pytest.approx(1.5, abs=0.03)
