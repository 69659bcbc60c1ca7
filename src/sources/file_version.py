"""Which version of a file a source sends, so that two answers are never mixed of which one is older."""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from byte_ranges import ByteRange
from sources.content_coding import codings
from sources.http_request import HttpResponse

STRONG_ETAG = re.compile(r'"[!#-~\x80-\xff]*"')
"""RFC 9110, section 8.8.3. Only a strong validator allows a range request with If-Range, section 13.1.5."""


@dataclass(frozen=True, slots=True)
class Version:
    """What a source said about the version of the file that it began to send, if the rest of it can be asked for.

    Attributes:
        etag: a strong one.
        last_modified: the header, or nothing.
        size_bytes: of the whole file.
    """

    etag: str
    last_modified: str
    size_bytes: int

    @classmethod
    def of(cls, response: HttpResponse, size_bytes: int | None) -> Self | None:
        """Return the version of a whole file, or None if its transfer cannot be resumed."""
        etag = response.headers.get("etag", "")
        if not size_bytes or not STRONG_ETAG.fullmatch(etag):
            return None
        return cls(etag, response.headers.get("last-modified", ""), size_bytes)

    def is_sent_by(self, response: HttpResponse, part: ByteRange) -> bool:
        """Whether an answer holds a part of this version, and nothing else.

        It must repeat the ETag, as RFC 9110 requires in section 15.3.7: several object stores ignore If-Range and send
        a part of whatever the file is by now.
        """
        return (
            response.status == HTTPStatus.PARTIAL_CONTENT
            and response.headers.get("etag") == self.etag
            and response.headers.get("last-modified", self.last_modified) == self.last_modified
            and response.headers.get("content-range") == f"bytes {part.start}-{part.stop - 1}/{self.size_bytes}"
            and response.length_bytes in (None, part.size_bytes)
            and not codings(response.headers.get("content-encoding", ""))
        )
