"""A URL that is refused comes back with the reason: which character, which part, and what is accepted instead."""

import pytest

from errors import UrlInvalid
from sources.local import local_video
from sources.url import MAX_URL_CHARACTERS, check_url


def refusal(url: str) -> str:
    with pytest.raises(UrlInvalid) as refused:
        check_url(url, "The video_url")
    return str(refused.value).removeprefix("URL_INVALID: ")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (" http://host/v.mp4", "has white space before its beginning."),
        ("http://host/v.mp4\n", "has white space after its end."),
        ("http://host/a b.mp4", "has a space as character 14, which is not allowed in a URL; write it as %20."),
        ("http://host\\v.mp4", "has a backslash as character 12, which is not allowed in a URL."),
        ("http://host/a\nb", "has a line break as character 14, which is not allowed in a URL."),
        ("http://host/\u202ev", "has the unprintable character U+202E as character 13, which is not allowed in a URL."),
        ("http://host:port/v.mp4", "is not a well-formed URL: its port, a number up to 65535, cannot be read."),
        ("http://host:99999/v.mp4", "is not a well-formed URL: its port, a number up to 65535, cannot be read."),
        ("http://host:" + "9" * 5000, "is not a well-formed URL: its port, a number up to 65535, cannot be read."),
        ("http://[::1/v.mp4", "is not a well-formed URL: its host name cannot be read."),
        ("http:///v.mp4", "names no host after http://."),
        ("http://host:0/v.mp4", "names port 0."),
        ("http://[fe80::1%25lo]/v.mp4", "has a % in its host name."),
        ("http://me:secret@host/v.mp4", "must not carry a user name or password."),
        ("s3://bucket/v.mp4", "must start with http:// or https://; s3:// is not supported."),
        ("localhost:8000/v.mp4", "must start with http:// or https://."),
        ("x" * 50 + "://host", "must start with http:// or https://."),
        ("http://host/" + "v" * MAX_URL_CHARACTERS, f"is longer than {MAX_URL_CHARACTERS} characters."),
    ],
)
def test_the_reason_for_a_refusal_is_named(url: str, reason: str) -> None:
    assert refusal(url) == f"The video_url {reason}"


def test_a_relative_path_is_told_how_a_path_is_sent() -> None:
    assert refusal("www/nasa.mp4") == (
        "The video_url must start with http:// or https://, or be a path that starts with / or a file:// URL, "
        "below a directory of the worker's setting VIDEO_ROOTS."
    )


@pytest.mark.parametrize("source", ["/videos/nasa.mp4", "file:///videos/nasa.mp4"])
def test_a_path_names_the_setting_that_would_allow_it(source: str) -> None:
    with pytest.raises(UrlInvalid, match="VIDEO_ROOTS, which is empty"):
        local_video(source, ())
