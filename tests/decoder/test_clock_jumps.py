"""A clock that jumps ahead goes on where another recording begins, and stands still where a picture stays on screen."""

from fractions import Fraction
from pathlib import Path

import pytest

from clips import CONSTANT_RATE, H264, HEIGHT_PX, WIDTH_PX, ClipStore, ffmpeg, number_in, numbered_pictures
from decoding import probed, shown_numbers
from frame_extractor import FrameExtractor
from records import Chunk, SampleGrid

HOUR_S = 3600
LECTURE_S = 3700
FLV_HEADER_BYTES = 13
MPEG2 = CONSTANT_RATE["mpeg2.mpg"]
COUNT = 50
STANDSTILL = "-vf settb=1/1000,setpts=40*N+{gap_ms}*gte(N\\,25) -fps_mode passthrough -enc_time_base 1/1000"
IN_ORDER = f"{H264} -bf 0"
FILLED = "-x264-params nal-hrd=cbr:filler=1 -b:v 3M -minrate 3M -maxrate 3M -bufsize 240k"
"""Each picture is larger than a pack, and so has a time of its own."""
SILENCE = "-f lavfi -i anullsrc=r=8000:cl=mono"
TS_PACKET_BYTES = 188


def jump(clips: ClipStore, name: str, options: str, jump_s: float) -> Path:
    """Two recordings, the second one's clock ahead."""
    first = clips.encode(f"first-{name}", options, numbered_pictures(COUNT))
    second = clips.encode(
        f"ahead-{jump_s}-{name}", f"{options} -output_ts_offset {jump_s}", numbered_pictures(2 * COUNT)[COUNT:]
    )
    head_bytes = FLV_HEADER_BYTES if name.endswith("flv") else 0
    return clips.write(f"jump-{jump_s}-{name}", first.read_bytes() + second.read_bytes()[head_bytes:])


def standstill(clips: ClipStore, name: str, gap_s: int, options: str = IN_ORDER) -> Path:
    """One recording of which a picture stays on screen for long."""
    return clips.encode(
        f"still-{gap_s}-{name}", f"{STANDSTILL.format(gap_ms=1000 * gap_s)} {options}", numbered_pictures(COUNT)
    )


@pytest.mark.parametrize("jump_s", [15, 20 * HOUR_S, 25 * HOUR_S])
@pytest.mark.parametrize(
    ("name", "options"),
    [("h264.ts", H264), ("h264.m2ts", f"{H264} -mpegts_m2ts_mode 1 -f mpegts"), ("mpeg2.mpg", MPEG2)],
)
def test_a_recording_with_a_clock_that_is_ahead_goes_on(name: str, options: str, jump_s: int, clips: ClipStore):
    path = jump(clips, name, options, jump_s)

    assert probed(path).duration_s == pytest.approx(2 * COUNT / 25, abs=0.002)
    assert shown_numbers(path) == [*range(2 * COUNT)]


@pytest.mark.parametrize("jump_s", [15, 4 * HOUR_S])
def test_a_recording_with_a_clock_that_is_ahead_goes_on_in_flv(jump_s: int, clips: ClipStore):
    path = jump(clips, "h264.flv", H264, jump_s)

    assert shown_numbers(path) == [*range(2 * COUNT)]


def test_recordings_with_sound_go_on_too(clips: ClipStore):
    paths = []
    for first, offset_s in ((0, 0), (COUNT, 600)):
        pictures = clips.encode(f"mute{first}.ts", H264, numbered_pictures(first + COUNT)[first:])
        path = pictures.with_name(f"heard{first}.ts")
        sound = [*SILENCE.split(), "-t", "2", "-c:v", "copy", "-c:a", "mp2", "-output_ts_offset", str(offset_s)]
        ffmpeg("-i", pictures, *sound, path)
        paths.append(path)
    path = clips.write("heard.ts", b"".join(path.read_bytes() for path in paths))

    assert shown_numbers(path) == [*range(2 * COUNT)]


def test_a_flagged_discontinuity_is_a_new_clock_though_every_counter_goes_on(clips: ClipStore):
    still = standstill(clips, "h264.ts", 60).read_bytes()
    packets = [bytearray(still[at : at + TS_PACKET_BYTES]) for at in range(0, len(still), TS_PACKET_BYTES)]
    for packet in packets[len(packets) // 3 :]:
        if packet[3] & 0x20 and packet[4]:  # an adaptation field with flags, ISO/IEC 13818-1, 2.4.3.4
            packet[5] |= 0x80
    path = clips.write("flagged.ts", b"".join(packets))

    assert shown_numbers(path) == [*range(COUNT)]


@pytest.mark.parametrize(
    ("name", "gap_s", "options"),
    [
        ("h264.ts", 5, IN_ORDER),
        ("h264.ts", 60, IN_ORDER),
        ("reordered.ts", 60, H264),
        ("h264.m2ts", 60, f"{H264} -mpegts_m2ts_mode 1 -f mpegts"),
        ("h264.flv", 60, IN_ORDER),
        ("h264.mpg", 9, f"{IN_ORDER} {FILLED} -f vob"),
        ("h264.mkv", 20 * HOUR_S, IN_ORDER),
    ],
)
def test_a_picture_that_stays_on_screen_stays(name: str, gap_s: int, options: str, clips: ClipStore):
    info = probed(standstill(clips, name, gap_s, options))

    assert info.duration_s == pytest.approx(COUNT / 25 + gap_s, abs=0.1)
    assert info.variable_frame_rate


@pytest.mark.parametrize("container", ["ts", "flv"])
def test_a_picture_may_stay_for_more_than_an_hour_while_the_sound_goes_on(container: str, clips: ClipStore):
    codec = "-c:v copy -c:a aac -b:a 8k" if container == "flv" else "-c:v copy -c:a mp2 -ar 16000 -b:a 8k"
    mkv = standstill(clips, "lecture.mkv", LECTURE_S)
    path = mkv.with_name(f"lecture.{container}")
    sound = f"-f lavfi -t {LECTURE_S + 2} -i anullsrc=r=16000:cl=mono {codec}"
    ffmpeg("-i", mkv, *sound.split(), path)

    info = probed(path)

    assert (info.num_frames, info.duration_s) == (COUNT, pytest.approx(COUNT / 25 + LECTURE_S, abs=0.1))


async def test_a_long_standstill_costs_no_pixels(clips: ClipStore, extractor: FrameExtractor):
    path = standstill(clips, "h264.ts", 3500)
    info = await extractor.get_video_info(path)
    sampling = SampleGrid(info.start_s, Fraction(1, 10), HEIGHT_PX, WIDTH_PX)

    batch = await extractor.extract_frames(path, info, sampling, Chunk(0, 10, 3400, 3400))

    assert (len(batch.pixels), {number_in(picture) for picture in batch.pixels}) == (339, {24})
