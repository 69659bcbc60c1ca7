"""What is wrong with a job's input is said in words that a caller understands at first sight."""

import pytest

from api.request import MAX_SENTENCE_CHARACTERS, WHERE_FIELDS_ARE_LISTED, JobRequest, validate_input
from errors import InputError

SOUND = {"video_url": "https://host/v.mp4", "prompt": "What is shown?"}


def refusal(**changes: object) -> str:
    with pytest.raises(InputError) as refused:
        validate_input(SOUND | changes)
    return str(refused.value).removeprefix("INVALID_INPUT: ")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": " \n"}, "prompt must not be blank."),
        ({"prompt": ""}, "prompt must not be empty."),
        ({"prompt": 5}, "prompt must be a string."),
        ({"prompt": "x" * 20_001}, "prompt must have at most 20000 characters."),
        ({"max_tokens": 0}, "max_tokens must be at least 1."),
        ({"max_tokens": 40_000}, "max_tokens must be at most 32768."),
        ({"max_tokens": "512"}, "max_tokens must be a whole number."),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number."),
        ({"max_tokens": 512.0}, "max_tokens must be a whole number."),
        ({"temperature": "hot"}, "temperature must be a number."),
        ({"temperature": float("nan")}, "temperature must be a finite number."),
        ({"top_p": 0}, "top_p must be above 0.0."),
        ({"aggregate": "yes"}, "aggregate must be true or false."),
        ({"aggregate": "true"}, "aggregate must be true or false."),
        ({"seed": -1}, "seed must be at least 0."),
        ({"sampling": "some"}, "sampling must be 'uniform', 'keyframes' or 'adaptive'."),
        ({"prompts": ["a"]}, "prompt and prompts are both given: put all questions into prompts."),
        ({"prompt": None, "prompts": "a"}, "prompts must be a list."),
        ({"prompt": None, "prompts": []}, "prompts must not be empty."),
        ({"prompt": None, "prompts": ["a", ""]}, "prompts[1] must not be empty."),
        ({"prompt": None, "prompts": ["a"] * 33}, "prompts must have at most 32 entries."),
        ({"start_time": "1:60"}, "start_time: write seconds, mm:ss or h:mm:ss."),
        ({"start_time": -1}, "start_time must be at least 0.0."),
        ({"start_time": 60, "end_time": "1:00"}, "end_time must be after start_time."),
        ({"fps": 0}, "fps must be above 0.0."),
        ({"fps": 1, "sample_fps": 1}, "sample_fps and fps are two names of one field: give one of them."),
        ({"max_frames": 3}, "max_frames must be at least 4."),
        ({"resolution": "huge"}, "resolution must be 'low', 'medium' or 'high'."),
        ({"stop": ["a"] * 5}, "stop must have at most 4 entries."),
        ({"output": "json"}, "output must be 'text', 'events', 'chapters' or 'when'."),
        ({"output": "events", "stop": "x"}, "stop would cut the JSON that is asked for: leave it out."),
        (
            {"response_schema": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
            "response_schema: uniqueItems is not supported.",
        ),
        ({"response_schema": []}, "response_schema must be an object."),
        (
            {"response_schema": {"type": "string"}, "output": "events"},
            "output and response_schema are both given: a schema is a form of its own.",
        ),
        ({"max_tokens": 0, "top_p": 2}, "max_tokens must be at least 1; top_p must be at most 1.0."),
    ],
)
def test_a_wrong_value_is_explained_in_plain_english(changes: dict[str, object], sentence: str) -> None:
    assert refusal(**changes) == sentence


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_token", "max_tokens"),
        ("maxTokens", "max_tokens"),
        ("url", "video_url"),
        ("video", "video_url"),
        ("question", "prompt"),
        ("max_new_tokens", "max_tokens"),
        ("chunk_length", "chunk_duration"),
    ],
)
def test_an_unknown_field_comes_with_the_field_that_was_probably_meant(name: str, meant: str) -> None:
    assert refusal(**{name: 5}) == f"{name} is unknown (did you mean {meant}?). {WHERE_FIELDS_ARE_LISTED}"


def test_a_field_that_resembles_none_is_refused_without_a_guess() -> None:
    assert refusal(zzz=1) == f"zzz is unknown. {WHERE_FIELDS_ARE_LISTED}"


def test_a_body_of_openais_api_is_recognised() -> None:
    says = r"messages is unknown; .* does not take OpenAI's messages: send video_url and prompt\."
    with pytest.raises(InputError, match=says):
        validate_input({"model": "m", "messages": [{"role": "user", "content": "hello"}]})


def test_half_a_character_of_utf_16_is_refused_by_the_name_of_its_field() -> None:
    """As JSON can carry it; no text that a model reads has it."""
    assert refusal(prompt="caf\ud83d").startswith("prompt holds half a character")


def test_a_missing_field_is_called_missing() -> None:
    with pytest.raises(InputError, match="video_url is missing; prompt is missing"):
        validate_input({})


def test_an_explanation_is_bounded_and_keeps_its_advice() -> None:
    sentence = refusal(**{"x" * 5000: 1})
    assert len(sentence) <= MAX_SENTENCE_CHARACTERS
    assert sentence.endswith(WHERE_FIELDS_ARE_LISTED)


def test_null_counts_as_left_out_for_every_field_that_has_a_default() -> None:
    optional = [field.alias or name for name, field in JobRequest.model_fields.items() if not field.is_required()]
    assert validate_input(dict.fromkeys([*optional, "fps"]) | SOUND) == validate_input(SOUND)
    assert refusal(prompt=None).startswith("prompt is missing")


@pytest.mark.parametrize(
    ("written", "meant_s"),
    [(90, 90), (90.5, 90.5), ("90", 90), ("1:30", 90), ("90:00", 5400), ("1:02:03.5", 3723.5), ("0:05", 5)],
)
def test_a_time_is_seconds_or_a_clocks(written: object, meant_s: float) -> None:
    assert validate_input(SOUND | {"start_time": written}).start_time == meant_s


@pytest.mark.parametrize("written", ["", "x", "1:", "1::2", "-5", "1:75:00", "1:2:3:4", "1e3", "\u0661"])
def test_a_text_that_is_no_time_is_refused(written: str) -> None:
    assert refusal(start_time=written) == "start_time: write seconds, mm:ss or h:mm:ss."


def test_a_presence_penalty_falls_on_free_text_alone_unless_it_is_asked_for() -> None:
    penalties = [
        validate_input(SOUND | changes).presence_penalty_or_default
        for changes in ({}, {"output": "events"}, {"output": "events", "presence_penalty": 1})
    ]
    assert penalties == [1.5, 0, 1]
