"""What a link gives that is no link to a video: the refusal says what came instead."""

from foreign.case import Foreign, Right

PAGE = b"<!DOCTYPE html>\n<html><head><title>clip</title></head><body><script>play()</script></body></html>\n"
PLAYLIST = b"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\npart0.ts\n#EXT-X-ENDLIST\n"
MANIFEST = b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>\n'
STATUS = b'{"state": "transcoding", "progress": 41}\n'


def refused(*says: str) -> Right:
    return Right(status="UNREADABLE_VIDEO", says=says)


KIND = "no video"
INPUTS = [
    Foreign("page.html", KIND, lambda: PAGE, refused("web page", "HTML"), is_quick=True),
    Foreign("list.m3u8", KIND, lambda: PLAYLIST, refused("playlist")),
    Foreign("manifest.mpd", KIND, lambda: MANIFEST, refused("playlist", "manifest")),
    Foreign("status.json", KIND, lambda: STATUS, refused("JSON")),
    Foreign("empty.mp4", KIND, lambda: b"", Right(status="DOWNLOAD_FAILED", says=("empty",))),
    Foreign("zeros.mp4", KIND, lambda: bytes(100_000), refused()),
]
