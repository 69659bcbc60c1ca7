"""What a job's input may look like."""

import pytest

from api.request import JobRequest, validate_input
from errors import InputError

REQUIRED = {"video_url": "https://host/v.mp4", "prompt": "What happens?"}
OPTIONAL = sorted(field.alias or name for name, field in JobRequest.model_fields.items() if not field.is_required())


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_is_as_absent_for_every_optional_field(name: str) -> None:
    assert validate_input({**REQUIRED, name: None}) == validate_input(REQUIRED)


def test_all_optional_fields_may_be_null_at_once() -> None:
    assert validate_input({**REQUIRED, **dict.fromkeys(OPTIONAL)}) == validate_input(REQUIRED)


@pytest.mark.parametrize("name", [*REQUIRED, "frame_selection", "unknown"])
def test_null_is_wrong_for_a_required_field_and_for_an_unknown_one(name: str) -> None:
    with pytest.raises(InputError, match=name):
        validate_input({**REQUIRED, name: None})
