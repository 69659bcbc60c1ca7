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
NAMES = {" ": "a space", "\\": "a backslash", "\t": "a tab", "\n": "a line break", "\r": "a line break"}
MAX_SCHEME_CHARACTERS = 20
"""Longer ones are not repeated in an error message."""
MAX_PORT = 65_535
LOCAL_SOURCE = "a path that starts with / or a file:// URL, below a directory of the worker's setting VIDEO_ROOTS"
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
        UrlInvalid: the URL is not accepted; the message says why.
    """
    if len(url) > MAX_URL_CHARACTERS:
        raise UrlInvalid(f"{subject} is longer than {MAX_URL_CHARACTERS} characters.")
    if fault := _wrong_character(url):
        raise UrlInvalid(f"{subject} {fault}.")
    try:
        parts = parse_url(url)
    except LocationParseError as exc:
        raise UrlInvalid(f"{subject} is not a well-formed URL: its {_unparsable_part(url)} cannot be read.") from exc
    if parts.scheme not in ("http", "https"):
        raise UrlInvalid(f"{subject} {_wrong_scheme(url, parts.scheme)}.")
    if parts.auth is not None:
        raise UrlInvalid(f"{subject} must not carry a user name or password.")
    host = _bare_host(parts)
    if not host:
        raise UrlInvalid(f"{subject} names no host after {parts.scheme}://.")
    if len(host) > MAX_HOST_CHARACTERS:
        raise UrlInvalid(f"{subject} names a host of more than {MAX_HOST_CHARACTERS} characters.")
    if "%" in host:  # percent-encoding, or the zone of a link-local address
        raise UrlInvalid(f"{subject} has a % in its host name.")
    if parts.port == 0:  # httpcore would use the default port instead
        raise UrlInvalid(f"{subject} names port 0.")


def _wrong_character(url: str) -> str | None:
    """Say which character does not belong into a URL and where it is; None if all do."""
    if url != url.strip():
        return "has white space before its beginning" if url[:1].isspace() else "has white space after its end"
    for index, character in enumerate(url):
        if character in " \\" or not character.isprintable():
            name = NAMES.get(character, f"the unprintable character U+{ord(character):04X}")
            written = f"; write it as {quote(character)}" if character == " " else ""
            return f"has {name} as character {index + 1}, which is not allowed in a URL{written}"
    return None


def _wrong_scheme(url: str, scheme: str | None) -> str:
    """Say what is accepted instead."""
    if scheme is None:
        return f"must start with http:// or https://, or be {LOCAL_SOURCE}"
    is_named = url.lower().startswith(f"{scheme}://") and len(scheme) <= MAX_SCHEME_CHARACTERS
    return "must start with http:// or https://" + (f"; {scheme}:// is not supported" if is_named else "")


def _unparsable_part(url: str) -> str:
    """Name the part of a URL that urllib3 does not parse: it refuses nothing but a host or a port."""
    authority = url.partition("://")[2].partition("/")[0]
    host_and_port = authority.rpartition("@")[2]
    bracket = "]" if host_and_port.startswith("[") else ""  # around an IPv6 address
    port = host_and_port.partition(f"{bracket}:")[2]
    is_number = port.isascii() and port.isdigit() and len(port) <= len(str(MAX_PORT)) and int(port) <= MAX_PORT
    return "host name" if not port or is_number else f"port, a number up to {MAX_PORT},"


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
