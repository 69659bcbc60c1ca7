"""Checks the form of a URL, before its host is looked up or connected to."""

import string
from urllib.parse import quote, urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from errors import UrlInvalid

MAX_URL_CHARACTERS = 8192
"""Upper bound for every source, also for a path."""
MAX_HOST_CHARACTERS = 253
NAMES = {" ": "a space", "\\": "a backslash", "\t": "a tab", "\n": "a line break", "\r": "a line break"}
MAX_SCHEME_CHARACTERS = 20
"""Longer ones are not repeated in an error message."""
MAX_PORT = 65_535
LOCAL_SOURCE = "a path that starts with / or a file:// URL, below a directory of the worker's setting VIDEO_ROOTS"


def check_url(url: str, subject: str) -> None:
    """Accept a well-formed http(s) URL that has a host and no user name.

    urllib3's parser is used because urllib3 also chooses the host to connect to: a second parser could disagree.

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
    if not parts.host:
        raise UrlInvalid(f"{subject} names no host after {parts.scheme}://.")
    if len(parts.host) > MAX_HOST_CHARACTERS:
        raise UrlInvalid(f"{subject} names a host of more than {MAX_HOST_CHARACTERS} characters.")
    if "%" in parts.host:  # percent-encoding, or the zone of a link-local address
        raise UrlInvalid(f"{subject} has a % in its host name.")
    if parts.port == 0:  # urllib3 would use the default port instead
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


def redirected_url(url: str, location: str) -> str:
    """Resolve a Location header against the URL that sent it, and check the result.

    Raises:
        UrlInvalid: the redirect may not be followed.
    """
    # http.client decodes headers as Latin-1 whatever their encoding; unescaped spaces and UTF-8 are common here.
    raw = quote(location, safe=string.punctuation, encoding="latin-1")
    try:
        target = urljoin(url, raw)
    except ValueError as exc:
        raise UrlInvalid("The source redirects to something that is not a well-formed URL.") from exc
    check_url(target, "The address that the source redirects to")
    if parse_url(url).scheme == "https" and parse_url(target).scheme == "http":
        raise UrlInvalid("The source redirects from https to http.")
    return target
