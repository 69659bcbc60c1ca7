"""Checks the form of a URL, before its host is looked up or connected to."""

import string
from urllib.parse import quote, urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from errors import UrlInvalid

MAX_URL_CHARACTERS = 8192
"""Upper bound for every source, also for a path."""
MAX_HOST_CHARACTERS = 253


def check_url(url: str, subject: str) -> None:
    """Accept a well-formed http(s) URL that has a host and no user name.

    urllib3's parser is used because urllib3 also chooses the host to connect to: a second parser could disagree.

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
        not parts.host
        or len(parts.host) > MAX_HOST_CHARACTERS
        or "%" in parts.host  # percent-encoding, or the zone of a link-local address
        or parts.port == 0  # urllib3 would use the default port instead
        or not url.isprintable()
        or any(character in url for character in " \\")
    ):
        raise UrlInvalid(f"{subject} is not a well-formed URL.")


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
