"""Files that were put together, in every container, are one film whose times go on; what cannot be read is told."""

from fractions import Fraction
from pathlib import Path

import pytest

from api.unseen import covered_share, unseen_spans
from clips import CONSTANT_RATE, H264, HEVC, VP8, ClipStore, ffmpeg, numbered_pictures
from decoding import probed, shown_numbers
from records import SampleGrid, VideoInfo, VideoPlan, Window

COUNT = 50
FRAGMENTED = f"{H264} -movflags frag_keyframe+empty_moov+default_base_moof"
LIVE = f"{VP8} -live 1"
CLOSED = f"{H264} -sc_threshold 0"


def part(clips: ClipStore, name: str, options: str, first: int = 0) -> Path:
    return clips.encode(name, options, numbered_pictures(first + COUNT)[first:])


def joined(clips: ClipStore, name: str, *parts: Path) -> Path:
    return clips.write(name, b"".join(path.read_bytes() for path in parts))


def assert_whole(path: Path, parts: int = 2) -> VideoInfo:
    """All parts are on screen one after the other, from the start and from the last part on."""
    info = probed(path)
    numbers = [*range(parts * COUNT)]
    assert (info.num_frames, info.duration_s) == (len(numbers), pytest.approx(len(numbers) / 25, abs=0.002))
    assert (info.truncated, info.missing_s, info.unread_parts) == (False, 0, 0)
    assert shown_numbers(path) == numbers
    assert shown_numbers(path, len(numbers) - 30) == numbers[-30:]
    return info


@pytest.mark.parametrize(
    ("container", "options"),
    [
        ("live.webm", LIVE),
        ("webm", VP8),
        ("mkv", H264),
        ("hevc.mkv", HEVC),
        ("fragmented.mp4", FRAGMENTED),
        ("mp4", H264),
        ("open.mp4", f"{H264} -x264-params open-gop=1"),
        ("mpeg4.mp4", "-c:v mpeg4 -q 3 -g 15 -bf 2"),
        ("mov", H264),
        ("avi", "-c:v mpeg4 -q 3 -g 15 -bf 2"),
        ("ogv", "-c:v libtheora -q 8 -g 15"),
        ("wmv", "-c:v wmv2 -q 3 -g 15"),
        ("flv", H264),
    ],
)
def test_two_files_in_sequence_are_one_film(container: str, options: str, clips: ClipStore):
    first = part(clips, f"first.{container}", options)
    second = part(clips, f"second.{container}", options, COUNT)
    assert_whole(joined(clips, f"joined.{container}", first, second))


@pytest.mark.parametrize(
    ("container", "options"),
    [
        ("mp4", f"{HEVC} -s 128x64"),
        ("mp4", f"{H264} -preset slow -video_track_timescale 90000"),
        ("mkv", f"{VP8} -s 512x256"),
        ("mkv", "-c:v mjpeg -q 3 -pix_fmt yuvj420p"),
    ],
)
def test_the_second_file_may_have_another_codec_size_and_clock(container: str, options: str, clips: ClipStore):
    name = options.partition(" -s")[0].replace(" ", "").replace(":", "")[:40]
    first = part(clips, f"first.{container}", H264)
    second = part(clips, f"other-{name}.{container}", options, COUNT)
    assert_whole(joined(clips, f"joined-{name}.{container}", first, second))


def test_three_files_in_sequence_are_one_film(clips: ClipStore):
    parts = [part(clips, f"part{first}.webm", LIVE, first) for first in (0, COUNT, 2 * COUNT)]
    assert_whole(joined(clips, "three.webm", *parts), parts=3)


def test_a_movie_without_a_file_type_is_read_and_may_be_the_first_of_two(clips: ClipStore):
    first = part(clips, "first.mov", H264).read_bytes()
    untyped = clips.write("untyped.mov", first.replace(b"ftyp", b"free", 1))
    second = part(clips, "second.mov", H264, COUNT)

    assert shown_numbers(untyped) == [*range(COUNT)]
    assert_whole(joined(clips, "untyped-first.mov", untyped, second))


def test_headers_that_are_repeated_before_each_fragment_of_one_recording_join_nothing(clips: ClipStore):
    whole = part(clips, "fragments.mp4", FRAGMENTED).read_bytes()
    header_bytes = whole.index(b"moof") - 4
    middle = whole.index(b"moof", len(whole) // 2) - 4
    path = clips.write("repeated.mp4", whole[:middle] + whole[:header_bytes] + whole[middle:])

    assert probed(path).parts == ()
    assert shown_numbers(path) == [*range(COUNT)]


@pytest.mark.parametrize("programme", ["", "-mpegts_pmt_start_pid 0x1100 -mpegts_service_id 2"])
@pytest.mark.parametrize("offset_s", [0, 2, 7200])
def test_a_film_that_goes_on_in_another_stream_of_a_transport_stream_is_whole(
    programme: str, offset_s: int, clips: ClipStore
):
    name = f"{offset_s}-{bool(programme)}.ts"
    first = part(clips, "first.ts", H264)
    options = f"-mpegts_start_pid 0x200 {programme} -output_ts_offset {offset_s}"
    second = part(clips, f"second-{name}", f"{H264} {options}", COUNT)
    assert_whole(joined(clips, f"stream-changes-{name}", first, second))


def test_a_film_may_return_to_the_first_stream_after_another_one(clips: ClipStore):
    streams = [(0, 0x100), (COUNT, 0x200), (2 * COUNT, 0x100)]
    parts = [
        part(clips, f"turn{first}.ts", f"{CLOSED} -mpegts_start_pid {pid} -output_ts_offset {first / 25}", first)
        for first, pid in streams
    ]
    info = assert_whole(joined(clips, "break.ts", *parts), parts=3)
    assert [one.stream for one in info.parts] == [0, 1, 0]


def test_another_stream_may_have_another_codec(clips: ClipStore):
    first = part(clips, "first.ts", H264)
    options = CONSTANT_RATE["mpeg2.ts"] + " -mpegts_start_pid 0x200 -output_ts_offset 2"
    second = part(clips, "mpeg2-second.ts", options, COUNT)
    assert_whole(joined(clips, "codec-changes.ts", first, second))


@pytest.mark.parametrize(
    ("container", "options", "first_of_pictures"),
    [("mkv", H264, b"\x1fC\xb6u"), ("live.webm", LIVE, b"\x1fC\xb6u"), ("fragmented.mp4", FRAGMENTED, b"moof")],
)
def test_a_second_file_of_which_nothing_but_the_header_is_left_is_told(
    container: str, options: str, first_of_pictures: bytes, clips: ClipStore
):
    first = part(clips, f"first.{container}", options).read_bytes()
    second = part(clips, f"second.{container}", options, COUNT).read_bytes()
    header = second[: second.index(first_of_pictures) - 4]
    path = clips.write(f"half.{container}", first + header + bytes(len(second) - len(header)))
    info = probed(path)

    assert (info.num_frames, info.unread_parts) == (COUNT, 1)
    assert info.missing_s > 0.5
    plan = VideoPlan(Window(info.start_s, info.end_s), (), SampleGrid(0, Fraction(2), 64, 64), "uniform", ())
    assert covered_share(unseen_spans([], info, plan), info.duration_s + info.missing_s) < 1
    assert shown_numbers(path) == [*range(COUNT)]


def test_a_second_file_without_pictures_is_told(clips: ClipStore):
    sound = clips.write("sound.mkv", b"")
    ffmpeg("-f", "lavfi", "-i", "sine=d=2", "-c:a", "libopus", sound)
    info = probed(joined(clips, "sound-after.mkv", part(clips, "first.mkv", H264), sound))

    assert (info.num_frames, info.unread_parts) == (COUNT, 1)


def test_a_file_that_is_attached_to_another_joins_nothing(clips: ClipStore):
    inner, outer = part(clips, "first.mkv", H264), clips.write("outer.mkv", b"")
    attach = ["-attach", str(inner), "-metadata:s:t", "mimetype=video/x-matroska"]
    ffmpeg("-i", part(clips, "second.mkv", H264, COUNT), *attach, "-c", "copy", outer)

    assert probed(outer).parts == ()
    assert shown_numbers(outer) == [*range(COUNT, 2 * COUNT)]
