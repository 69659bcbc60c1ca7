"""A presigned URL that has expired is refused without a connection, and no other URL is."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from errors import UrlExpired
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
