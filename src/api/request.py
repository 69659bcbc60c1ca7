"""A job's input, checked before anything is done for it."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from errors import InputError
from records import FrameSelection
from sources.url import MAX_URL_CHARACTERS

MAX_SENTENCE_CHARACTERS = 1000
"""Upper bound for an error message that echoes caller input, such as unknown fields."""


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

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, job_input: dict[str, object]) -> dict[str, object]:
        """Take null as absent for every optional field: typed clients send it for what was not set."""
        optional = {field.alias or name for name, field in cls.model_fields.items() if not field.is_required()}
        return {name: value for name, value in job_input.items() if value is not None or name not in optional}


def validate_input(job_input: object) -> JobRequest:
    """Check a job's input.

    Raises:
        InputError: names every wrong field.
    """
    if not isinstance(job_input, dict):
        raise InputError("The job's input must be an object.")
    try:
        return JobRequest.model_validate(job_input)
    except ValidationError as exc:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in exc.errors(include_input=False))
        raise InputError("; ".join(faults)[:MAX_SENTENCE_CHARACTERS]) from exc
