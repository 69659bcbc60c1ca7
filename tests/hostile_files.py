"""Files that strangers make, built from one honest MP4: lists of other files, lies in headers, damage."""

from collections.abc import Iterator

import numpy as np

NEVER = 0xFFFF_FFFF
CONTAINERS_OF_REFERENCES = (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref")
SELF_CONTAINED = b"\0\0\0\x0curl \0\0\0\1"


def lists_of_other_files(bait: str, url: str) -> dict[str, bytes]:
    """Playlists, manifests and scripts that lead to a file and to an address, all under a video's name."""
    media = {"file": f"file://{bait}", "path": bait, "http": url}
    texts = {}
    for way, target in media.items():
        texts[f"hls-{way}"] = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{target}\n#EXT-X-ENDLIST\n"
        texts[f"concat-{way}"] = f"ffconcat version 1.0\nfile '{target}'\n"
        texts[f"dash-{way}"] = (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT3S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
            '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000" codecs="avc1.64001e">'
            f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
        )
        texts[f"svg-{way}"] = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" '
            f'height="64"><image xlink:href="{target}" width="64" height="64"/></svg>'
        )
    texts["hls-key"] = (
        f'#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:3,\n{bait}\n#EXT-X-ENDLIST\n'
    )
    texts["sdp"] = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    return {name: text.encode() for name, text in texts.items()}


def with_pictures_elsewhere(mp4: bytes, location: str) -> bytes:
    """The MP4 with its index at the end, whose data reference names another place (ISO/IEC 14496-12, 8.7.2)."""
    entry = b"url \0\0\0\0" + location.encode() + b"\0"
    return _grown(mp4, SELF_CONTAINED, (len(entry) + 4).to_bytes(4) + entry)


def _grown(mp4: bytes, old: bytes, new: bytes) -> bytes:
    content = bytearray(mp4.replace(old, new, 1))
    for box in CONTAINERS_OF_REFERENCES:
        size_at = content.index(box) - 4
        size = int.from_bytes(content[size_at : size_at + 4]) + len(new) - len(old)
        content[size_at : size_at + 4] = size.to_bytes(4)
    return bytes(content)


def with_field(mp4: bytes, box: bytes, offset: int, value: int) -> bytes:
    """The MP4 with another 32-bit number so many bytes behind the name of the first such box."""
    at = mp4.index(box) + 4 + offset
    return mp4[:at] + value.to_bytes(4) + mp4[at + 4 :]


def lies(mp4: bytes) -> dict[str, bytes]:
    """Headers that promise more than there is."""
    return {
        "more-samples-than-bytes": with_field(mp4, b"stsz", 8, NEVER),
        "samples-of-four-gigabytes": with_field(mp4, b"stsz", 4, NEVER),
        "more-times-than-samples": with_field(mp4, b"stts", 8, NEVER),
        "table-of-four-billion-rows": with_field(mp4, b"stts", 4, NEVER),
        "each-picture-for-two-days": with_field(mp4, b"stts", 12, 0x7FFF_FFFF),
        "pictures-behind-the-end": with_field(mp4, b"stco", 8, 0x7FFF_FFFF),
        "clock-of-no-ticks": with_field(mp4, b"mdhd", 12, 0),
        "shown-as-a-giant": with_field(with_field(mp4, b"tkhd", 76, 0x7FFF_0000), b"tkhd", 80, 0x7FFF_0000),
        "index-longer-than-the-file": mp4.replace(mp4[mp4.index(b"moov") - 4 : mp4.index(b"moov")], b"\x7f\0\0\0", 1),
    }


OUTCOMES_OF_LIES = {
    "more-samples-than-bytes": "UNREADABLE_VIDEO",
    "samples-of-four-gigabytes": "NO_FRAMES",
    "more-times-than-samples": "complete",
    "table-of-four-billion-rows": "UNREADABLE_VIDEO",
    "each-picture-for-two-days": "VIDEO_TOO_LONG",
    "pictures-behind-the-end": "NO_FRAMES",
    "clock-of-no-ticks": "complete",
    "shown-as-a-giant": "complete",
    "index-longer-than-the-file": "complete",
}
"""What becomes of a job on such a file: an error's code, or an answer's status."""


def damaged(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The same file, cut short or with bytes changed at random; the same every time."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        changed = np.frombuffer(content, np.uint8).copy()
        if number % 4 == 0:
            yield changed[: generator.integers(1, len(changed))].tobytes()
            continue
        places = generator.integers(0, len(changed), int(generator.integers(1, 40)))
        changed[places] = generator.integers(0, 256, len(places))
        yield changed.tobytes()
