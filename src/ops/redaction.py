"""Keeps out of the log what its readers must not see: queries and user names of URLs, and the worker's secrets."""

import logging
import re
from collections.abc import Iterable

URL = re.compile(r"(?i)\b(https?://)(?:[^\s/?#\"'<>]*@)?([^\s?#\"'<>]*)([?#][^\s\"'<>]*)?")
QUERY = re.compile(r"\?[^\s?=\"'<>]+=[^\s\"'<>]*")
"""Of a URL told without its host, as urllib3 does."""
SECRET_NAME = re.compile(r"(?i)token|secret|password|credential|(^|_)key(_|$)")
"""Of environment variables."""
SHORTEST_SECRET = 8
"""What is shorter is a switch, or stands in every other line anyway."""


class RedactingFormatter(logging.Formatter):
    """Formats a record, with its traceback, and removes both from it.

    Args:
        template: see logging.Formatter.
        secrets: texts to be removed.
    """

    def __init__(self, template: str, secrets: Iterable[str]) -> None:
        super().__init__(template)
        longest_first = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines to be written."""
        text = self._secrets.sub("[secret]", super().format(record))
        return QUERY.sub("?…", URL.sub(_without_query, text))


def _without_query(url: re.Match[str]) -> str:
    scheme, place, query = url.groups()
    return f"{scheme}{place}{'?…' if query else ''}"
