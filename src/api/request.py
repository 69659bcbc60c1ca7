"""A job's input, checked before anything is done for it."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import InputError
from records import FrameSelection
from sources.url import MAX_URL_CHARACTERS
from validation import fault_sentences

MAX_SENTENCE_CHARACTERS = 1000
"""Upper bound for an error message that echoes caller input, such as unknown fields."""
MEANT = {
    "video": "video_url",
    "file": "video_url",
    "path": "video_url",
    "question": "prompt",
    "query": "prompt",
    "text": "prompt",
    "fps": "sample_fps",
    "max_new_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "frame_selection": "sampling",
}
"""The field that a name from other interfaces stands for."""
WHERE_FIELDS_ARE_LISTED = "The README lists all fields under “Job input”."
OPENAI_BODY = "This worker does not take OpenAI's messages: send video_url and prompt."


class JobRequest(BaseModel):
    """A job's checked input. A field whose default is None is filled from Settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    video_url: str = Field(min_length=1, max_length=MAX_URL_CHARACTERS)
    prompt: str = Field(min_length=1, max_length=20_000, pattern=r"\S")
    max_tokens: int = Field(512, ge=1, le=32_768)
    """The most tokens generated per chunk, and again for the merged answer."""
    temperature: float = Field(0.7, ge=0, le=2)
    """0 is greedy decoding."""
    top_p: float = Field(0.8, gt=0, le=1)
    chunk_duration: float | None = Field(None, ge=1, le=86_400)
    """Seconds of video per chunk."""
    aggregate: bool = True
    sample_fps: float | None = Field(None, gt=0, le=60)
    """Frames looked at per second of video."""
    frame_selection: FrameSelection = Field("uniform", alias="sampling")
    """Known to callers as `sampling`."""
    seed: int | None = Field(None, ge=0, lt=2**63)


FIELDS = {field.alias or name: field for name, field in JobRequest.model_fields.items()}
"""By the names that callers use."""


def validate_input(job_input: object) -> JobRequest:
    """Check a job's input. A field that may be left out may be null as well.

    Raises:
        InputError: names every wrong field.
    """
    if not isinstance(job_input, dict):
        raise InputError("The job's input must be an object.")
    given = {name: value for name, value in job_input.items() if value is not None or name not in FIELDS}
    try:
        return JobRequest.model_validate(given)
    except ValidationError as exc:
        raise InputError(_explanation(exc)) from exc


def _explanation(error: ValidationError) -> str:
    """Say what is wrong with every field, and where the fields are listed if one is unknown."""
    faults = error.errors()
    unknown = {str(fault["loc"][0]) for fault in faults if fault["type"] == "extra_forbidden"}
    remarks = [OPENAI_BODY] if "messages" in unknown else []
    if unknown or any(fault["type"] == "missing" for fault in faults):
        remarks.append(WHERE_FIELDS_ARE_LISTED)
    ending = " ".join(["", *remarks])
    sentences = "; ".join(fault_sentences(error, FIELDS, MEANT))
    return f"{sentences[: MAX_SENTENCE_CHARACTERS - len(ending) - 1]}.{ending}"
