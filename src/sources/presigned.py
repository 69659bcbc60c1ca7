"""When a presigned URL stops working; its query says so."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from errors import UrlExpired

CLOCK_SKEW = timedelta(minutes=1)
"""The source's clock decides, and it is not this one."""


def check_expiry(url: str) -> None:
    """Refuse a URL that has expired, before anything is connected to.

    Raises:
        UrlExpired: with the time at which it did.
    """
    until = expires_at(url)
    if until is not None and until + CLOCK_SKEW < datetime.now(UTC):
        raise UrlExpired(f"The video_url was signed to expire at {until:%Y-%m-%d %H:%M:%S} UTC.")


def expires_at(url: str) -> datetime | None:
    """The time in a URL presigned for S3 (both versions), Google Cloud Storage, CloudFront or Azure; else None."""
    query = {name.lower(): value for name, value in parse_qsl(urlsplit(url).query)}
    try:
        for vendor in ("x-amz", "x-goog"):
            if f"{vendor}-signature" in query:
                signed = datetime.strptime(query[f"{vendor}-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return signed + timedelta(seconds=int(query[f"{vendor}-expires"]))
        if "signature" in query:
            return datetime.fromtimestamp(int(query["expires"]), UTC)
        if "sig" in query:
            return _utc(datetime.fromisoformat(query["se"]))
    except (KeyError, ValueError, OverflowError, OSError):
        pass  # not such a URL after all: the source will tell
    return None


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
