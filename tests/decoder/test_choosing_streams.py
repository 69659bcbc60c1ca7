"""Of several streams of pictures the one is shown that a viewer shows, and the others are named."""

from pathlib import Path

import av
import pytest

from clips import H264, HEIGHT_PX, WIDTH_PX, ClipStore, ffmpeg, numbered_pictures
from decoder.probe import probe
from decoding import probed, shown_numbers
from protocol import MAX_PICTURE_PIXELS, Refusal

FILM = "h264.mp4"
SUBTITLES = "".join(f"{n + 1}\n00:00:0{n},500 --> 00:00:0{n},900\nline {n}\n\n" for n in range(3))


def together(name: str, first: Path, second: Path, options: str = "") -> Path:
    """A file with the pictures of two others."""
    path = first.with_name(name)
    ffmpeg("-i", first, "-i", second, "-map", "0:v", "-map", "1:v", "-c", "copy", *options.split(), path)
    return path


def other(clips: ClipStore, name: str, count: int, options: str = H264, first: int = 100) -> Path:
    return clips.encode(name, options, numbered_pictures(first + count)[first:])


def with_track_flags(mp4: bytes, track: int, flags: int) -> bytes:
    """An MP4 in which the flags of a track header, ISO/IEC 14496-12, 8.3.2, are others."""
    at = -1
    for _ in range(track):
        at = mp4.index(b"tkhd", at + 1)
    return mp4[: at + 5] + flags.to_bytes(3, "big") + mp4[at + 8 :]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_single_picture_before_the_film_is_not_the_film(container: str, clips: ClipStore):
    picture = other(clips, "picture.mov", 1, "-s 128x64 -c:v mjpeg -q:v 3 -pix_fmt yuvj420p")
    path = together(f"picture-first.{container}", picture, clips.clip(FILM).path)

    info = probed(path)

    assert (info.stream_index, info.codec, info.num_frames) == (1, "h264", 75)
    assert [(one.index, one.codec, one.num_frames) for one in info.other_streams] == [(0, "mjpeg", 1)]
    assert shown_numbers(path) == [*range(75)]


def test_the_default_track_is_shown_and_not_the_longest(clips: ClipStore):
    longer = other(clips, "longer.mp4", 100)
    flags = "-disposition:v:0 0 -disposition:v:1 default"
    path = together("default-second.mkv", longer, clips.clip(FILM).path, flags)

    assert shown_numbers(path) == [*range(75)]


def test_a_track_that_is_not_enabled_is_not_shown(clips: ClipStore):
    longer = other(clips, "longer.mp4", 100)
    both = together("both-enabled.mp4", longer, clips.clip(FILM).path)
    path = clips.write("first-disabled.mp4", with_track_flags(both.read_bytes(), 1, flags=0))
    only = clips.write("only-disabled.mp4", with_track_flags(clips.clip(FILM).path.read_bytes(), 1, flags=0))

    assert len(shown_numbers(both)) == 100
    assert shown_numbers(path) == shown_numbers(only) == [*range(75)]


def test_a_track_that_is_not_enabled_is_not_shown_in_matroska(clips: ClipStore):
    longer = other(clips, "longer.mp4", 100)
    both = together(
        "both-enabled.mkv", longer, clips.clip(FILM).path, "-disposition:v default -default_mode passthrough"
    )
    enabled = both.read_bytes()
    flag_language_at = enabled.index(b"\x22\xb5\x9c", enabled.index(b"\x16T\xaek"))  # Language of the first track
    language_bytes = 4 + (enabled[flag_language_at + 3] & 0x7F)
    # FlagEnabled 0 and an element that is void stand where it was, RFC 9559, 5.1.4.1.4.
    disabled = b"\xb9\x81\x00\xec" + bytes([0x80 | language_bytes - 5]) + bytes(language_bytes - 5)
    path = clips.write(
        "first-disabled.mkv",
        enabled[:flag_language_at] + disabled + enabled[flag_language_at + language_bytes :],
    )

    assert len(shown_numbers(both)) == 100
    assert shown_numbers(path) == [*range(75)]


@pytest.mark.parametrize(
    ("name", "count", "options"),
    [
        ("short.mkv", 5, f"{H264} -s 128x64"),
        ("sparse.mp4", 75, f"-vf fps=2 {H264} -s 128x64"),
        ("shorter.mp4", 50, H264),
        ("smaller.mp4", 75, f"{H264} -s 128x64"),
        ("smaller-and-a-little-longer.mp4", 78, f"{H264} -s 128x64"),
    ],
)
def test_without_flags_neither_a_preview_nor_a_shorter_or_smaller_track_is_shown(
    name: str, count: int, options: str, clips: ClipStore
):
    path = together(f"before-{name}", other(clips, name, count, options), clips.clip(FILM).path)

    info = probed(path)

    assert (info.stream_index, [one.index for one in info.other_streams]) == (1, [0])
    assert shown_numbers(path) == [*range(75)]


def test_of_two_equal_cameras_the_first_is_shown(clips: ClipStore):
    path = together("cameras.mp4", clips.clip(FILM).path, other(clips, "camera.mp4", 75))

    assert shown_numbers(path) == [*range(75)]
    assert [one.index for one in probed(path).other_streams] == [1]


def test_two_programmes_at_the_same_time_are_not_mixed(clips: ClipStore):
    path = clips.clip(FILM).path.with_name("programmes.ts")
    programmes = "-program program_num=1:st=0 -program program_num=2:st=1"
    together(path.name, clips.clip(FILM).path, other(clips, "camera.mp4", 75), programmes)

    assert shown_numbers(path) == [*range(75)]
    assert (probed(path).seekable, len(probed(path).other_streams)) == (True, 1)


@pytest.mark.parametrize(("container", "codec"), [("mkv", "srt"), ("mp4", "mov_text")])
def test_a_film_with_70_tracks_of_subtitles_is_whole(container: str, codec: str, clips: ClipStore):
    subtitles = clips.write("s.srt", SUBTITLES.encode())
    path = subtitles.with_name(f"subtitled.{container}")
    inputs = ["-i", str(subtitles)] * 70
    maps = [word for number in range(71) for word in ("-map", str(number))]
    ffmpeg("-i", clips.clip(FILM).path, *inputs, *maps, "-c:v", "copy", "-c:s", codec, path)

    assert shown_numbers(path) == [*range(75)]
    assert not probed(path).truncated


def test_a_film_with_70_tracks_of_sound_is_whole_in_a_transport_stream(clips: ClipStore):
    path = clips.clip(FILM).path.with_name("dubbed.ts")
    sound = ["-f", "lavfi", "-i", "anullsrc=r=48000:cl=mono", "-t", "3", "-map", "0:v", *["-map", "1:a"] * 70]
    ffmpeg("-i", clips.clip(FILM).path, *sound, "-c:v", "copy", "-c:a", "mp2", "-b:a", "32k", path)

    assert shown_numbers(path) == [*range(75)]
    assert not probed(path).truncated


def test_more_streams_than_can_be_opened_are_a_reason_of_their_own(clips: ClipStore, monkeypatch: pytest.MonkeyPatch):
    subtitles = clips.write("s.srt", SUBTITLES.encode())
    inputs = ["-i", str(subtitles)] * 8
    maps = [word for number in range(9) for word in ("-map", str(number))]
    monkeypatch.setattr("decoder.container.film.MAX_STREAMS", 8)
    monkeypatch.setattr("decoder.probe.MAX_STREAMS", 8)
    monkeypatch.setattr("decoder.container.open.open_video.__kwdefaults__", {"max_streams": 8, "obeys_edits": True})
    for container, codec in (("mkv", "srt"), ("mp4", "mov_text")):
        path = subtitles.with_name(f"nine-streams.{container}")
        ffmpeg("-i", clips.clip(FILM).path, *inputs, *maps, "-c:v", "copy", "-c:s", codec, path)
        assert probe(str(path)) == Refusal.TOO_MANY_STREAMS


def test_av1_pictures_are_judged_by_their_own_size_and_not_by_the_largest_that_their_sequence_allows(
    clips: ClipStore,
):
    frames = "-svtav1-params lp=1:sframe-dist=10:sframe-mode=1:pred-struct=1"
    path = clips.encode("switching.mp4", f"-c:v libsvtav1 {frames} -preset 12 -pix_fmt yuv420p", numbered_pictures(30))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.width * stream.codec_context.height > MAX_PICTURE_PIXELS

    assert (probed(path).width_px, probed(path).height_px) == (WIDTH_PX, HEIGHT_PX)
    assert shown_numbers(path) == [*range(30)]
