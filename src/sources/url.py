"""What a URL may look like, before anything is looked up or connected to."""

import string
from urllib.parse import quote, urljoin

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from errors import UrlInvalid

MAX_URL_CHARACTERS = 8192
MAX_HOST_CHARACTERS = 253


def check_url(url: str, subject: str) -> None:
    """Accept well-formed http(s) URLs with a host and without a user name.

    It reads the URL with the parser that also chooses the host to connect to.

    Args:
        url: to be judged.
        subject: of the sentence that says what is wrong, without repeating the URL.

    Raises:
        UrlInvalid: with that sentence.
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
        or "%" in parts.host  # an encoded name, or the zone of a link-local address
        or parts.port == 0  # urllib3 would take it for the default port
        or not url.isprintable()
        or any(character in url for character in " \\")
    ):
        raise UrlInvalid(f"{subject} is not a well-formed URL.")


def redirected_url(url: str, location: str) -> str:
    """Return the checked URL that a Location header, relative or not, leads to.

    Raises:
        UrlInvalid: it may not be followed.
    """
    # The header comes as Latin-1, whatever it was; raw spaces and UTF-8 are common in it.
    raw = quote(location, safe=string.punctuation, encoding="latin-1")
    try:
        target = urljoin(url, raw)
    except ValueError as exc:
        raise UrlInvalid("The source redirects to something that is not a well-formed URL.") from exc
    check_url(target, "The address that the source redirects to")
    if parse_url(url).scheme == "https" and parse_url(target).scheme == "http":
        raise UrlInvalid("The source redirects from https to http.")
    return target
