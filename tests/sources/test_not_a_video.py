"""What is no video is named, with what to do about it."""

import gzip
import io
import tarfile
import time
import zipfile

import pytest

from config import Settings
from download import download
from errors import MediaError
from frame_extractor import FrameExtractor
from media_server import whole
from records import LocalVideo
from sources.not_a_video import HEAD_BYTES, what_it_is
from video_processor import VideoProcessor

HTML = "<html><head><title>clip</title></head><body><script>play()</script></body></html>"
LOGIN = "<form action=/login><input name=user><input class=a type='password' name=p></form>"
DENIED = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>7</RequestId></Error>"
XML = '<?xml version="1.0" encoding="UTF-8"?>\n'


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo("film.mp4"), b"film")
    return packed.getvalue()


def tarred() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("film.mp4"))
    return packed.getvalue()


NAMED = [
    (f"<!DOCTYPE html>{HTML}", "a web page. Send a direct link"),
    (f"\n\t <!-- saved\nfrom -->\n{HTML.upper()}", "a web page. Send a direct link"),
    (f"{XML}<!DOCTYPE html>{HTML}", "a web page. Send a direct link"),
    (f"<!doctype HTML><body>{'x' * 9000}{LOGIN}", "a web page that asks for a login. Send a direct link that works"),
    ("\ufeff<html>", "a web page"),
    (f"<!DOCTYPE html>{HTML}".encode("utf-16"), "a web page"),
    ("<html><title>Fu\xdf</title>".encode("latin-1"), "a web page"),
    ("#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:2,\nseg0.ts\n#EXT-X-ENDLIST\n", "a playlist (HLS or M3U). Send a link to one"),
    (f'{XML}<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">', "a playlist (DASH). Send a link to one"),
    (f'{XML}<SmoothStreamingMedia MajorVersion="2">', "a playlist. Send a link to one"),
    ('{"state": "transcoding"}', "a JSON document. Send a direct link"),
    ('[\n  {"id": 1}\n]', "a JSON document"),
    ("{}", "a JSON document"),
    (XML + DENIED, "an object store's error, AccessDenied. Check the link"),
    (DENIED, "an object store's error, AccessDenied"),
    (f'{XML}<Error xmlns="x"><HostId>7</HostId><Code>NoSuchKey</Code></Error>', "an object store's error, NoSuchKey"),
    (f"{XML}<Error><Code>https://secret.example/?a=b</Code></Error>", "an XML document"),
    (f"{XML}<rss><channel/></rss>", "an XML document"),
    (
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "a Git LFS pointer that stands for the video. Send the link",
    ),
    (zipped(), "a ZIP archive. Send the video itself, unpacked"),
    (tarred(), "a tar archive. Send the video itself, unpacked"),
    (gzip.compress(b"film", mtime=0), "a compressed file. Send the video itself, unpacked"),
    (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7-Zip archive"),
    (b"%PDF-1.7\n", "a PDF document"),
    (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "a picture"),
    (b"\x89PNG\r\n\x1a\n\x00\x00", "a picture"),
    (b"d8:announce35:udp://tracker", "a BitTorrent file"),
    ("WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n", "a subtitle file"),
    ("1\n00:00:01,000 --> 00:00:02,000\nhi\n", "a subtitle file"),
    ("Not found. føлм", "a text file"),
    ("ø" * HEAD_BYTES, "a text file"),
    (bytes(5000), "empty at its start: only zeros. Send it again"),
]


@pytest.mark.parametrize(("content", "words"), NAMED, ids=lambda value: ascii(value)[:30])
def test_the_first_bytes_tell_what_a_file_is_and_what_to_do(content, words, tmp_path):
    (path := tmp_path / "source").write_bytes(content.encode() if isinstance(content, str) else content)
    assert f"The file is no video but {words}" in (what_it_is(path) or "")


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02", bytes(range(256)), b" \n", b"\x47" + bytes(187), b"OggS\0"])
def test_what_is_not_known_has_no_name(content, tmp_path):
    (path := tmp_path / "source").write_bytes(content)
    assert what_it_is(path) is None


@pytest.mark.parametrize(
    "hostile", [b"<!--" * 20_000, b"<Error>" * 10_000, b"<input " * 10_000, b"{[" * 30_000, b" " * 10**6]
)
def test_no_content_takes_long(hostile, tmp_path):
    (path := tmp_path / "source").write_bytes(hostile)
    started_s = time.perf_counter()
    what_it_is(path)
    assert time.perf_counter() - started_s < 1


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize(("content", "words"), [NAMED[0], NAMED[7], NAMED[10], NAMED[19]], ids=ascii)
async def test_a_job_on_something_else_than_a_video_is_told_what_it_is(content, words, local, server, tmp_path):
    sent = content.encode() if isinstance(content, str) else content
    settings = Settings(download_allow_private="127.0.0.1", video_roots=[tmp_path], media_timeout_s=30)
    (original := tmp_path / "film.mp4").write_bytes(sent)
    url = str(original) if local else server.answer(whole(sent, Content_Type="video/mp4"))
    (directory := tmp_path / "job").mkdir()
    video = await download(url, directory, settings)
    with pytest.raises(MediaError) as failure:
        await VideoProcessor(settings, FrameExtractor(settings)).validate_video(video)
    assert str(failure.value).startswith(f"UNREADABLE_VIDEO: The file is no video but {words}")


async def test_a_damaged_video_is_not_called_something_else(tmp_path):
    settings = Settings(media_timeout_s=30)
    (path := tmp_path / "source").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    with pytest.raises(MediaError, match="not a video of a supported format, or it is damaged"):
        await VideoProcessor(settings, FrameExtractor(settings)).validate_video(LocalVideo(path, 1))
