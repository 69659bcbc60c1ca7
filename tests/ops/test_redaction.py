"""No secret reaches the log."""

import logging

import pytest

from canary import CANARY, CanaryWatch
from ops.redaction import SECRET_NAME, RedactingFormatter


def logged(message: str, *arguments: object, error: Exception | None = None) -> str:
    raised = (type(error), error, None) if error else None
    record = logging.LogRecord("test", logging.ERROR, "test.py", 1, message, arguments, raised)
    return RedactingFormatter("%(levelname)s %(message)s", [f"sk-{CANARY}", "on"]).format(record)


@pytest.mark.parametrize(
    ("message", "left"),
    [
        (f"see https://host/a.mp4?sig={CANARY} now", "see https://host/a.mp4?… now"),
        (f"'http://host/a#{CANARY}'", "'http://host/a?…'"),
        (f"HTTPS://user:{CANARY}@host:8443/a", "HTTPS://host:8443/a"),
        (f"https://{CANARY}@host", "https://host"),
        (f"Bearer sk-{CANARY}, on", "Bearer [secret], on"),
        (f"url: /a.mp4?X-Amz-Signature={CANARY}&b (Caused by …)", "url: /a.mp4?… (Caused by …)"),
        ("http://host/a and http://host/b", "http://host/a and http://host/b"),
    ],
)
def test_secrets_are_removed_from_a_line_and_the_rest_is_kept(message: str, left: str):
    assert logged(message) == f"ERROR {left}"
    assert logged("%s", message) == f"ERROR {left}"


def test_secrets_are_removed_from_a_traceback():
    lines = logged("failed", error=ValueError(f"GET https://host/a?token={CANARY} with sk-{CANARY}"))
    assert lines.endswith("ValueError: GET https://host/a?… with [secret]")
    assert CANARY not in lines


@pytest.mark.parametrize("name", ["HF_TOKEN", "RUNPOD_AI_API_KEY", "AWS_SECRET_ACCESS_KEY", "key", "DB_PASSWORD"])
def test_variables_that_hold_secrets_are_recognised_by_name(name: str):
    assert SECRET_NAME.search(name)


@pytest.mark.parametrize("name", ["PATH", "MODEL_NAME", "KEYBOARD", "MONKEY"])
def test_other_variables_are_not_taken_for_secrets(name: str):
    assert not SECRET_NAME.search(name)


def test_the_canary_watch_of_the_test_session_notices_an_unredacted_secret():
    watch = CanaryWatch()
    for message in (f"see https://host/?sig={CANARY}", f"the file {CANARY}.mp4"):
        watch.handle(logging.LogRecord("media", logging.DEBUG, "", 1, message, (), None))
    assert watch.lines == [f"media the file {CANARY}.mp4"]
