"""Removes from log lines what their readers must not see: queries and credentials in URLs, and the worker's secrets."""

import logging
import re
from collections.abc import Iterable

URL = re.compile(r"(?i)\b(https?://)(?:[^\s/?#\"'<>]*@)?([^\s?#\"'<>]*)([?#][^\s\"'<>]*)?")
"""Groups: the scheme; the host, port and path; the query and fragment. A user name and password are matched outside
the groups."""
QUERY = re.compile(r"\?[^\s?=\"'<>]+=[^\s\"'<>]*")
"""The query of a URL that is logged without scheme and host, as urllib3 does."""
SECRET_NAME = re.compile(r"(?i)token|secret|password|credential|(^|_)key(_|$)")
"""Matches the names of environment variables that hold secrets."""
MIN_SECRET_CHARACTERS = 8
"""Shorter values are not redacted: they are switches such as `on`, or occur in ordinary text."""


class RedactingFormatter(logging.Formatter):
    """Formats a record, including its traceback, with URLs cut after the path and secrets replaced.

    Args:
        template: see logging.Formatter.
        secrets: texts to replace.
    """

    def __init__(self, template: str, secrets: Iterable[str]) -> None:
        super().__init__(template)
        long_enough = {secret for secret in secrets if len(secret) >= MIN_SECRET_CHARACTERS}
        longest_first = sorted(long_enough, key=len, reverse=True)  # one secret may contain another
        self._secrets = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def format(self, record: logging.LogRecord) -> str:
        """Return the redacted line, or lines if there is a traceback."""
        text = self._secrets.sub("[secret]", super().format(record))
        return QUERY.sub("?…", URL.sub(_without_query, text))


def _without_query(url: re.Match[str]) -> str:
    scheme, host_and_path, query = url.groups()
    return f"{scheme}{host_and_path}{'?…' if query else ''}"
