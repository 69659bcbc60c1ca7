"""A presigned URL that has expired is refused without a connection, and no other URL is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from download import download
from errors import DownloadError, UrlExpired
from media_server import Answer, MediaServer, cut, status
from sources import presigned
from sources.http import HttpFetch
from sources.presigned import expires_at

SIGNED = "https://bucket.example/video.mp4?"
AMAZON = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={}T101500Z&X-Amz-Expires=900&X-Amz-Signature=secret"
EXPIRY = datetime(2024, 5, 17, 10, 30, tzinfo=UTC)
EXPIRED = {
    "S3": AMAZON.format("20240517"),
    "S3, lower case": AMAZON.format("20240517").lower().replace("t101500z", "T101500Z"),
    "S3, version 2": f"AWSAccessKeyId=id&Expires={EXPIRY.timestamp():.0f}&Signature=secret",
    "CloudFront": f"Key-Pair-Id=id&Expires={EXPIRY.timestamp():.0f}&Signature=secret",
    "Google": AMAZON.format("20240517").replace("Amz", "Goog"),
    "Azure": "sv=2022&se=2024-05-17T10:30:00Z&sr=b&sig=secret",
    "Azure, another zone": "sv=2022&se=2024-05-17T12:30:00%2B02:00&sr=b&sig=secret",
}
WITHOUT_EXPIRY = {
    "not signed": "Expires=1715941800",
    "no time": "X-Amz-Signature=secret&X-Amz-Expires=900",
    "no number": "X-Amz-Signature=secret&X-Amz-Expires=soon&X-Amz-Date=20240517T101500Z",
    "no such date": AMAZON.format("20241345"),
    "beyond the calendar": "Signature=secret&Expires=99999999999999999999",
    "too many seconds": AMAZON.format("20240517").replace("900", "9" * 30),
    "no query": "",
}


@pytest.mark.parametrize("vendor", EXPIRED)
def test_an_expired_url_is_refused_and_its_signature_is_not_repeated(vendor: str, tmp_path: Path):
    assert expires_at(SIGNED + EXPIRED[vendor]) == EXPIRY
    with pytest.raises(UrlExpired, match="2024-05-17 10:30:00 UTC") as refusal:
        HttpFetch(SIGNED + EXPIRED[vendor], tmp_path / "source", 1, ())
    assert "secret" not in str(refusal.value)


def test_a_url_that_has_not_expired_is_accepted(tmp_path: Path):
    HttpFetch(SIGNED + AMAZON.format("29990101"), tmp_path / "source", 1, ())


@pytest.mark.parametrize("query", WITHOUT_EXPIRY)
def test_a_url_that_only_resembles_a_presigned_one_has_no_expiry(query: str):
    assert expires_at(SIGNED + WITHOUT_EXPIRY[query]) is None


@pytest.fixture
def fetch(server: MediaServer, tmp_path: Path) -> Callable[..., object]:
    """Downloads from a source whose URL was signed to expire so many seconds from now."""

    async def fetch_signed(expires_in_s: float, *answers: Answer) -> str:
        expiry_s = datetime.now(UTC).timestamp() + expires_in_s
        url = f"{server.answer(*answers)}?Key-Pair-Id=id&Expires={expiry_s:.0f}&Signature=secret"
        with pytest.raises(DownloadError) as failure:
            await download(url, tmp_path, Settings(download_allow_private="127.0.0.1"))
        return failure.value.code

    return fetch_signed


@pytest.mark.usefixtures("no_backoff")
@pytest.mark.parametrize("first", [status(503), cut(b"film", 2, ETag='"v1"')], ids=["refused", "interrupted"])
async def test_a_url_that_expires_before_a_later_attempt_is_reported_as_expired(first, fetch, server, monkeypatch):
    class LaterClock(datetime):
        @classmethod
        def now(cls, zone: Any = None) -> Any:
            return datetime.now(zone) + timedelta(hours=len(server.requests))

    monkeypatch.setattr(presigned, "datetime", LaterClock)
    assert await fetch(600, first, status(403)) == "URL_EXPIRED"
    assert len(server.requests) == 1


@pytest.mark.parametrize(("expires_in_s", "code"), [(-30, "URL_EXPIRED"), (600, "SOURCE_HTTP_ERROR")])
async def test_a_refusal_is_explained_by_the_expiry_if_that_is_over(expires_in_s, code, fetch):
    """The source's clock may be ahead, or the URL expired on the way; until it answers the benefit of doubt holds."""
    assert await fetch(expires_in_s, status(403)) == code
