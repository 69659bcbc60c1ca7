"""Checks the form of a URL, before its host is looked up or connected to, and takes it apart for a request."""

import re
import string
from urllib.parse import quote

import httpcore2
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from errors import UrlInvalid

MAX_URL_CHARACTERS = 8192
"""Upper bound for every source, also for a path."""
MAX_HOST_CHARACTERS = 253
PARTS = re.compile(
    r"(?P<origin>[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?", re.DOTALL
)
"""RFC 3986, appendix B, for a URL with a host."""
SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")


def check_url(url: str, subject: str) -> None:
    """Accept a well-formed http(s) URL that has a host and no user name.

    Args:
        url: the URL to check.
        subject: what to call the URL in the error message, which does not repeat it.

    Raises:
        UrlInvalid: the URL is not accepted.
    """
    try:
        parts = parse_url(url)
    except LocationParseError as exc:
        raise UrlInvalid(f"{subject} is not a well-formed URL.") from exc
    if parts.scheme not in ("http", "https"):
        raise UrlInvalid(f"{subject} must start with http:// or https://.")
    if parts.auth is not None:
        raise UrlInvalid(f"{subject} must not carry a user name or password.")
    if len(url) > MAX_URL_CHARACTERS:
        raise UrlInvalid(f"{subject} is longer than {MAX_URL_CHARACTERS} characters.")
    if (
        not _bare_host(parts)
        or len(_bare_host(parts)) > MAX_HOST_CHARACTERS
        or "%" in _bare_host(parts)  # percent-encoding, or the zone of a link-local address
        or parts.port == 0  # httpcore would use the default port instead
        or not url.isprintable()
        or any(character in url for character in " \\")
    ):
        raise UrlInvalid(f"{subject} is not a well-formed URL.")


def request_to(url: str) -> tuple[httpcore2.URL, str]:
    """Return what is requested for a checked URL, and the value of the Host header.

    Path and query are sent byte for byte as they are given, without the fragment. To normalise them, be it only the
    case of a percent-encoding, would break signatures. What cannot be sent as it is, being outside ASCII, is
    percent-encoded as UTF-8. The host is what `check_url` saw, since both use the same parser.
    """
    parts, raw = parse_url(url), PARTS.fullmatch(url)
    assert raw
    target = quote((raw["path"] or "/") + (raw["query"] or ""), safe=string.punctuation)
    host = _bare_host(parts)
    host_header = host if parts.port in (None, 443 if parts.scheme == "https" else 80) else f"{host}:{parts.port}"
    requested = httpcore2.URL(scheme=parts.scheme or "", host=host.strip("[]"), port=parts.port, target=target)
    return requested, host_header


def redirected_url(url: str, location: str) -> str:
    """Resolve a Location header against the URL that sent it, and check the result.

    Args:
        url: a checked URL.
        location: the header, decoded as Latin-1 whatever its encoding.

    Raises:
        UrlInvalid: the redirect may not be followed.
    """
    target = _resolve(url, _escape(location))
    check_url(target, "The address that the source redirects to")
    if parse_url(url).scheme == "https" and parse_url(target).scheme == "http":
        raise UrlInvalid("The source redirects from https to http.")
    return target


def _bare_host(parts: Url) -> str:
    """A URL's host without the dot that ends a full name: certificates and DOWNLOAD_ALLOW_PRIVATE do not have it."""
    return (parts.host or "").removesuffix(".")


def _escape(location: str) -> str:
    """Percent-encode what a URL must not contain; unescaped spaces and UTF-8 are common in Location headers."""
    raw = location.encode("latin-1")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return quote(raw, safe=string.punctuation)
    return "".join(
        character if character.isprintable() and character != " " else quote(character) for character in text
    )


def _resolve(url: str, reference: str) -> str:
    """Return the URL that a reference means (RFC 3986, section 5.2).

    Differs from urllib.parse.urljoin, and from the RFC, in that only a relative path is normalised, since a signature
    may cover the others, and that empty segments of a path are kept.
    """
    base = PARTS.fullmatch(url)
    assert base
    if SCHEME.match(reference):
        return reference
    if reference.startswith("//"):
        return url.partition(":")[0] + ":" + reference
    if reference.startswith("/"):
        return base["origin"] + reference
    path, _, after = reference.partition("#")[0].partition("?")
    query = "?" + after if "?" in reference.partition("#")[0] else ""
    if not path:
        return base["origin"] + base["path"] + (query or base["query"] or "")
    return base["origin"] + _without_dot_segments(base["path"].rpartition("/")[0] + "/" + path) + query


def _without_dot_segments(path: str) -> str:
    """Remove `.` and `..` from an absolute path (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
