"""Reads from the query of a presigned URL when it expires."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from errors import UrlExpired

CLOCK_SKEW = timedelta(minutes=1)
"""Tolerance, because the source's clock decides and may differ from this machine's."""


def check_expiry(url: str, tolerance: timedelta = CLOCK_SKEW) -> None:
    """Refuse a URL that has expired, without connecting to its host.

    Args:
        url: the caller's.
        tolerance: for how long a URL that has expired by this machine's clock is accepted.

    Raises:
        UrlExpired: the message has the time of expiry.
    """
    expiry = expires_at(url)
    if expiry is not None and expiry + tolerance < datetime.now(UTC):
        raise UrlExpired(f"The video_url was signed to expire at {expiry:%Y-%m-%d %H:%M:%S} UTC.")


def expires_at(url: str) -> datetime | None:
    """Return when a presigned URL of S3, Google Cloud Storage, CloudFront or Azure expires; None for other URLs.

    S3 signatures may be of version 2 or 4.
    """
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    try:
        for vendor in ("x-amz", "x-goog"):
            if f"{vendor}-signature" in query:
                signed_at = datetime.strptime(query[f"{vendor}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed_at + timedelta(seconds=int(query[f"{vendor}-expires"]))
        if "signature" in query:
            return datetime.fromtimestamp(int(query["expires"]), UTC)
        if "sig" in query:
            return _in_utc(datetime.fromisoformat(query["se"]))
    except (KeyError, ValueError, OverflowError, OSError):
        pass  # not a presigned URL after all: let the source decide
    return None


def _in_utc(time: datetime) -> datetime:
    """Convert to UTC; a time without a zone is taken as UTC."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
