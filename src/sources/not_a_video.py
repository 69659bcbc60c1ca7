"""Says what a file is that turned out to be no video, from its first bytes, and what to send instead."""

import codecs
import re
from pathlib import Path

HEAD_BYTES = 2**16
"""How much of a file is looked at."""
DIRECT_LINK = "Send a direct link to the video file."
SIGNATURES = [
    (re.compile(rb"PK(\x03\x04|\x05\x06|\x07\x08)"), "a ZIP archive", "Send the video itself, unpacked."),
    (re.compile(rb"Rar!\x1a\x07"), "a RAR archive", "Send the video itself, unpacked."),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive", "Send the video itself, unpacked."),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive", "Send the video itself, unpacked."),
    (
        re.compile(rb"\x1f\x8b\x08|BZh[1-9]|\xfd7zXZ\x00|\x28\xb5\x2f\xfd"),
        "a compressed file",
        "Send the video itself, unpacked.",
    ),
    (re.compile(rb"%PDF-"), "a PDF document", "Send a video."),
    (re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP", re.DOTALL), "a picture", "Send a video."),
    (re.compile(rb"ID3|fLaC|RIFF.{4}WAVE", re.DOTALL), "a sound file", "Send a video."),
    (re.compile(rb"\x7fELF|MZ"), "a program", "Send a video."),
    (re.compile(rb"d\d+:(announce|created by|creation date|info)"), "a BitTorrent file", DIRECT_LINK),
    (
        re.compile(rb"\x00{1024}"),
        "empty at its start: only zeros",
        "Send it again once it has been written completely.",
    ),
]
"""Patterns at the start of a binary file: what it is, and what to do."""
TEXTS = [
    (
        re.compile(r"version https://(git-lfs\.github\.com|hawser\.github\.com)/spec/"),
        "a Git LFS pointer that stands for the video",
        "Send the link of the file that Git LFS stores.",
    ),
    (re.compile("#EXTM3U"), "a playlist (HLS or M3U)", "Send a link to one video file: playlists are not followed."),
    (
        re.compile(r"<(\w+:)?MPD[\s>]"),
        "a playlist (DASH)",
        "Send a link to one video file: playlists are not followed.",
    ),
    (
        re.compile(r"<SmoothStreamingMedia\b|#EXT-X-|\[playlist\]", re.IGNORECASE),
        "a playlist",
        "Send a link to one video file: playlists are not followed.",
    ),
    (re.compile(r"<(!doctype\s+)?(html|head|body|script|meta|title|div)\b", re.IGNORECASE), "a web page", DIRECT_LINK),
    (re.compile(r"<[?!]?\w"), "an XML document", DIRECT_LINK),
    (re.compile(r'\{\s*("|\})|\[\s*(["{\[\]\d-]|true|false|null)'), "a JSON document", DIRECT_LINK),
    (re.compile("WEBVTT|1\r?\n\\d\\d:\\d\\d:"), "a subtitle file", DIRECT_LINK),
    (re.compile(r"\[InternetShortcut\]", re.IGNORECASE), "a shortcut to a web page", DIRECT_LINK),
    (re.compile(""), "a text file", DIRECT_LINK),
]
"""Patterns at the start of a text, white space and comments left out; the first that fits counts."""
PRELUDE = re.compile(r"(\s+|<\?xml.{0,200}?\?>|<!--.{0,4000}?-->)*", re.DOTALL)
LOGIN = re.compile(r"""<input[^>]{0,500}\btype\s*=\s*["']?password\b""", re.IGNORECASE)
STORE_ERROR = re.compile(r"<Error\b[^>]{0,200}>.{0,2000}?<Code>\s*([A-Za-z][A-Za-z0-9._-]{0,63})\s*</Code>", re.DOTALL)
"""How S3, Google Cloud Storage and Azure report an error."""
ENCODINGS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def what_it_is(path: Path) -> str | None:
    """Return two sentences for the caller of the API on what a file is and what to send; None if that is unknown.

    Blocks while it reads the start of the file, which is compared with patterns and not parsed.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    found = next((words for pattern, *words in SIGNATURES if pattern.match(head)), None)
    if found is None and (text := _text(head)) is not None:
        found = _kind_of_text(text)
    return f"The file is no video but {found[0]}. {found[1]}" if found else None


def _kind_of_text(text: str) -> list[str]:
    start = text[PRELUDE.match(text).end() :]  # type: ignore[union-attr]  # it matches the empty text too
    if error := STORE_ERROR.match(start):
        return [f"an object store's error, {error[1]}", "Check the link, and sign it again if it was signed."]
    kind, advice = next((kind, advice) for pattern, kind, advice in TEXTS if pattern.match(start))
    if kind == "a web page" and LOGIN.search(text):
        return ["a web page that asks for a login", "Send a direct link that works without one, such as a signed URL."]
    return [kind, advice]


def _text(head: bytes) -> str | None:
    """Decode the start of a text, which may end within a character; None if it is no text."""
    mark, encoding = next(((mark, name) for mark, name in ENCODINGS.items() if head.startswith(mark)), (b"", "utf-8"))
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head.removeprefix(mark))
    except UnicodeDecodeError:
        text = head.decode("latin-1")
        if not text.lstrip().startswith("<"):  # an old web page in another encoding
            return None
    return None if not text.strip() or CONTROLS.search(text) else text
