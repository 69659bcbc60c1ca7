"""A secret that tests plant wherever a caller or an operator can put one; nothing the worker writes may hold it."""

import logging

from ops.redaction import RedactingFormatter

CANARY = "canary-7f3a"


class CanaryWatch(logging.Handler):
    """Keeps the lines that would stand in the worker's log and hold the canary."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(RedactingFormatter("%(name)s %(message)s", []))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if CANARY in line:
            self.lines.append(line)

    def take(self) -> list[str]:
        """The lines since this was last asked."""
        taken, self.lines = self.lines, []
        return taken
