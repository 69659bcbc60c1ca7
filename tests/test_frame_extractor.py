"""A file is described as it was made, an unusable one is refused with its reason, and no decoder outlives its use."""

import asyncio
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clips import H264, HEIGHT_PX, WIDTH_PX, ClipStore, number_in, numbered_pictures, with_display_matrix
from config import Settings
from decoder import probe, times
from errors import EncryptedVideo, MediaError, NoFrames, NoVideoStream, UnsupportedCodec, VideoTooLarge
from frame_extractor import NVIDIA_DEVICE, FrameExtractor
from frames.probe import REFUSALS
from protocol import Refusal
from records import Chunk, SampleGrid, VideoInfo
from sandbox.process import DecoderProcess


def test_a_video_of_too_many_pictures_is_refused(clips: ClipStore, monkeypatch: pytest.MonkeyPatch):
    path = str(clips.clip("h264.mp4").path)
    monkeypatch.setattr(times, "MAX_PICTURES", 75)
    assert isinstance(probe.probe(path), VideoInfo)
    monkeypatch.setattr(times, "MAX_PICTURES", 74)
    assert probe.probe(path) == Refusal.TOO_MANY_PICTURES


def test_every_refusal_has_an_error_and_a_sentence():
    assert REFUSALS.keys() == set(Refusal)


@pytest.mark.parametrize("reply", [b"", b"{}", b'{"info": {"fps": "1e30000000"}}', b'{"refused": "bored"}'])
async def test_a_child_that_does_not_describe_the_video_makes_it_unreadable(
    reply: bytes, clips: ClipStore, extractor: FrameExtractor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(DecoderProcess, "read_all", lambda *_: reply)

    with pytest.raises(MediaError, match="did not describe"):
        await extractor.get_video_info(clips.clip("h264.mp4").path)


async def test_a_plain_video_is_described_as_it_was_made(clips: ClipStore, extractor: FrameExtractor):
    path = clips.clip("h264.mp4").path

    info = await extractor.get_video_info(path)

    assert info == VideoInfo(
        start_s=0.0,
        duration_s=3.0,
        fps=Fraction(25),
        num_frames=75,
        width_px=WIDTH_PX,
        height_px=HEIGHT_PX,
        rotation_deg=0,
        codec="h264",
        pixel_format="yuv420p",
        container="mov,mp4,m4a,3gp,3g2,mj2",
        bit_rate_bps=info.bit_rate_bps,
        variable_frame_rate=False,
        truncated=False,
        missing_s=0.0,
        size_bytes=path.stat().st_size,
        stream_index=0,
        first_pts=0,
        time_base_s=Fraction(1, 12800),
        seekable=True,
        last_pts=74 * 512,
    )
    assert info.bit_rate_bps == pytest.approx(path.stat().st_size * 8 / 3, rel=0.01)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("hevc.mkv", "hevc"), ("vp9.webm", "vp9"), ("av1.mp4", "av1"), ("mpeg2.ts", "mpeg2video"), ("wmv2.wmv", "wmv2")],
)
async def test_the_codec_is_named_by_its_standard(name: str, codec: str, clips: ClipStore, extractor: FrameExtractor):
    info = await extractor.get_video_info(clips.clip(name).path)

    assert (info.codec, info.num_frames, info.fps) == (codec, 75, Fraction(25))
    assert info.duration_s == pytest.approx(3)


async def test_a_variable_rate_is_reported_with_its_mean(clips: ClipStore, extractor: FrameExtractor):
    info = await extractor.get_video_info(clips.clip("variable.mp4").path)

    assert (info.variable_frame_rate, info.num_frames, info.duration_s) == (True, 75, 5.02)
    assert info.fps == pytest.approx(75 / 5.02)


async def test_a_constant_rate_in_a_clock_of_milliseconds_stays_exact(clips: ClipStore, extractor: FrameExtractor):
    path = clips.encode("ntsc.mkv", f"-vf setpts=N*1001/30000/TB -r 30000/1001 {H264}", numbered_pictures())

    info = await extractor.get_video_info(path)

    assert (info.variable_frame_rate, info.fps) == (False, Fraction(30000, 1001))


@pytest.mark.parametrize(
    ("options", "size_px"),
    [
        ("-vf setsar=2", (512, 128)),
        ("-vf setsar=1/2", (256, 256)),
        ("-vf setsar=16/11", (372, 128)),
        ("-vf crop=255:101 -pix_fmt yuv444p", (255, 101)),
    ],
)
async def test_the_size_counts_square_pixels(
    options: str, size_px: tuple[int, int], clips: ClipStore, extractor: FrameExtractor
):
    path = clips.encode(f"size-{size_px}.mp4", f"{H264} {options}", numbered_pictures(5))
    sideways = clips.write(f"sideways-{size_px}.mp4", with_display_matrix(path.read_bytes(), 0, 1, -1, 0))

    upright, turned = await asyncio.gather(*map(extractor.get_video_info, (path, sideways)))

    assert (upright.width_px, upright.height_px) == size_px
    assert (turned.height_px, turned.width_px, turned.rotation_deg) == (*size_px, 90)


def useless_bytes(mp4: bytes) -> dict[str, bytes]:
    index_at, pictures_at = mp4.index(b"moov") - 4, mp4.index(b"mdat") + 4
    return {
        "empty.mp4": b"",
        "text.mp4": b"this is no video\n" * 200,
        "without-index.mp4": mp4[:index_at],
        "without-pictures.mp4": mp4[:pictures_at] + bytes(index_at - pictures_at) + mp4[index_at:],
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nh264.mp4\n#EXT-X-ENDLIST\n",
        "list.mp4": b"ffconcat version 1.0\nfile h264.mp4\n",
    }


SOUND = "-f lavfi -i sine=d=1"
COVER = "-f lavfi -i color=red:s=64x64:d=0.04 -c:v mjpeg -disposition:v attached_pic"
KEY = "0123456789abcdef" * 2
USELESS_MEDIA = {
    "picture.png": "-i {} -frames:v 1",
    "picture.gif": "-i {} -frames:v 1",
    "sound.m4a": SOUND,
    "sound-with-cover.m4a": f"{SOUND} {COVER} -f mp4",
    "lossless.mkv": "-i {} -c:v ffv1",
    "studio.mov": "-i {} -frames:v 2 -s 1920x1080 -c:v dnxhd -b:v 120M -pix_fmt yuv422p",
    "studio.mxf": "-i {} -c:v mpeg2video -q 2",
    "camera.dv": "-i {} -target pal-dv",
    "bare.ivf": "-i {} -c:v libvpx-vp9 -cpu-used 8",
    "bare.h264": "-i {} -c copy -bsf:v h264_mp4toannexb",
    "nine-thousand.mp4": "-i {} -frames:v 1 -vf scale=9000:4100 -c:v libx264 -preset ultrafast",
    "picture.avif": "-i {} -frames:v 1 -c:v libaom-av1 -cpu-used 8 -still-picture 1",
    "encrypted.mp4": f"-i {{}} -c copy -encryption_scheme cenc-aes-ctr -encryption_key {KEY} -encryption_kid {KEY}",
}


async def test_a_missing_file_is_unreadable(extractor: FrameExtractor, tmp_path: Path):
    with pytest.raises(MediaError, match="UNREADABLE_VIDEO"):
        await extractor.get_video_info(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("empty.mp4", MediaError),
        ("text.mp4", MediaError),
        ("without-index.mp4", MediaError),
        ("playlist.mp4", MediaError),
        ("list.mp4", MediaError),
        ("picture.png", MediaError),
        ("picture.gif", MediaError),
        ("without-pictures.mp4", NoFrames),
        ("sound.m4a", NoVideoStream),
        ("sound-with-cover.m4a", NoVideoStream),
        ("lossless.mkv", UnsupportedCodec),
        ("studio.mov", UnsupportedCodec),
        ("studio.mxf", MediaError),
        ("camera.dv", MediaError),
        ("bare.ivf", MediaError),
        ("bare.h264", MediaError),
        ("picture.avif", NoVideoStream),
        ("nine-thousand.mp4", VideoTooLarge),
        ("encrypted.mp4", EncryptedVideo),
    ],
)
async def test_an_unusable_file_is_refused_with_its_reason(
    name: str, kind: type[MediaError], clips: ClipStore, extractor: FrameExtractor
):
    if name in USELESS_MEDIA:
        path = clips.copy(name, "h264.mp4", USELESS_MEDIA[name])
    else:
        path = clips.write(name, useless_bytes(clips.clip("h264.mp4").path.read_bytes())[name])

    with pytest.raises(MediaError) as refusal:
        await extractor.get_video_info(path)

    assert type(refusal.value) is kind
    assert path.name not in str(refusal.value)


async def test_a_name_with_odd_characters_is_read(clips: ClipStore, extractor: FrameExtractor, tmp_path: Path):
    path = tmp_path / "%d [ü]: a'b.mp4"
    path.write_bytes(clips.clip("h264.mp4").path.read_bytes())
    info = await extractor.get_video_info(path)

    batch = await extractor.extract_frames(path, info, sampling_of(info), whole(info))

    assert len(batch.pixels) == 75


def sampling_of(info: VideoInfo) -> SampleGrid:
    return SampleGrid(info.start_s, Fraction(25), HEIGHT_PX, WIDTH_PX)


def whole(info: VideoInfo) -> Chunk:
    return Chunk(0, info.start_s, info.end_s, info.end_s)


@pytest.mark.parametrize("decoder", ["auto", "cuda"])
@pytest.mark.parametrize(
    ("name", "tries_gpu"),
    [("h264.mp4", True), ("hevc.mkv", True), ("vp9.webm", True), ("av1.mp4", False), ("h264.avi", False)],
)
async def test_frames_are_the_same_wherever_they_are_decoded(
    name: str,
    decoder: str,
    clips: ClipStore,
    extractor: FrameExtractor,
    caplog: pytest.LogCaptureFixture,
    *,
    tries_gpu: bool,
):
    path = clips.clip(name).path
    info = await extractor.get_video_info(path)
    with_gpu = FrameExtractor(Settings(decoder=decoder, media_timeout_s=30))

    expected = await extractor.extract_frames(path, info, sampling_of(info), whole(info))
    batch = await with_gpu.extract_frames(path, info, sampling_of(info), whole(info))

    assert np.array_equal(batch.times_s, expected.times_s)
    assert np.array_equal(batch.pixels, expected.pixels)
    has_gpu = NVIDIA_DEVICE.exists()
    fell_back = tries_gpu and decoder == "cuda" and not has_gpu
    assert caplog.text.count("the CPU goes on") == fell_back


async def test_jpeg_files_are_named_by_time_and_show_the_frames(
    clips: ClipStore, extractor: FrameExtractor, tmp_path: Path
):
    path = clips.clip("h264.mp4").path
    info = await extractor.get_video_info(path)
    sampling = replace(sampling_of(info), fps=Fraction(2))
    batch = await extractor.extract_frames(path, info, sampling, whole(info))

    files = extractor.save_jpegs(batch, tmp_path)

    assert [file.name for file in files] == [f"frame_{time_ms:012d}ms.jpg" for time_ms in range(0, 3000, 500)]
    assert [number_in(np.asarray(Image.open(file))) for file in files] == [number_in(p) for p in batch.pixels]


def decoders() -> list[int]:
    """The decoding children of this process."""
    found = []
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in children.read_text().split():
            command = Path(f"/proc/{pid}/cmdline")
            if command.exists() and b"decoder.decode" in command.read_bytes():
                found.append(int(pid))
    return found


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_closing_the_stream_early_kills_the_decoder(clips: ClipStore, extractor: FrameExtractor):
    path = clips.clip("h264.mp4").path
    info = await extractor.get_video_info(path)
    descriptors = open_descriptors()
    stream = extractor.stream_frames(path, info, sampling_of(info), [Chunk(0, 0, 1, 1), Chunk(1, 1, 3, 3)])

    await anext(stream)
    while_held = decoders()
    await stream.aclose()

    assert len(while_held) == 1, "the second chunk is larger than the pipe, so its decoder waits"
    assert decoders() == []
    assert open_descriptors() == descriptors


async def test_cancelling_the_reader_kills_the_decoder_and_frees_its_thread(
    clips: ClipStore, extractor: FrameExtractor
):
    path = clips.clip("h264.mp4").path
    info = await extractor.get_video_info(path)
    descriptors = open_descriptors()
    task = asyncio.create_task(extractor.extract_frames(path, info, sampling_of(info), whole(info)))
    async with asyncio.timeout(10):
        while not decoders():
            await asyncio.sleep(0.005)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert decoders() == []
    assert open_descriptors() == descriptors
    async with asyncio.timeout(10):
        while any(thread.name.startswith("batch") for thread in threading.enumerate()):
            await asyncio.sleep(0.005)
