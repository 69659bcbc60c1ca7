"""A job's input, checked before anything is done for it."""

import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from answers.schema.guard import guarded
from answers.schema.rules import SchemaRefused
from errors import InputError
from records import AnswerSchema, FrameSelection, Price, Question, Resolution, Scope
from sources.url import MAX_URL_CHARACTERS
from validation import fault_sentences
from vision import MIN_FRAMES

MAX_SENTENCE_CHARACTERS = 1000
"""Upper bound for an error message that echoes caller input, such as unknown fields."""
MEANT = {
    "url": "video_url",
    "chunk_length": "chunk_duration",
    "video": "video_url",
    "file": "video_url",
    "path": "video_url",
    "question": "prompt",
    "query": "prompt",
    "text": "prompt",
    "max_new_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "frame_selection": "sampling",
}
"""The field that a name from other interfaces stands for."""
SAMPLE_FPS = ("sample_fps", "fps")
"""The names of one field."""
OutputForm = Literal["text", "events", "chapters", "when"]
TEXT_PRESENCE_PENALTY = 1.5
"""From the model card of Qwen3-VL-8B-Instruct, as are the defaults of top_p, top_k and temperature."""
MAX_PROMPT_CHARACTERS = 20_000
MAX_PROMPTS = 32
MAX_STOPS = 4
TIME = re.compile(r"(?:(\d{1,4}):(?=\d\d?:))?(?:(\d{1,6}):(?=\d\d?(?:\.|$)))?(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)
SECONDS_PER_MINUTE = 60
WHERE_FIELDS_ARE_LISTED = "The README lists all fields under “Job input”."
OPENAI_BODY = "This worker does not take OpenAI's messages: send video_url and prompt."


def seconds(value: object) -> object:
    """Read a time that is written as `mm:ss` or `h:mm:ss`; other values are returned as they are.

    >>> seconds("1:02:03.5")
    3723.5

    Raises:
        ValueError: a text that is no time.
    """
    if not isinstance(value, str):
        return value
    found = TIME.fullmatch(value.strip())
    hours, minutes, rest = found.groups() if found else (None, None, "")
    is_time = found and (minutes is None or float(rest) < SECONDS_PER_MINUTE)
    if not is_time or (hours is not None and int(minutes or 0) >= SECONDS_PER_MINUTE):
        raise ValueError("write seconds, mm:ss or h:mm:ss")
    return (int(hours or 0) * SECONDS_PER_MINUTE + int(minutes or 0)) * SECONDS_PER_MINUTE + float(rest)


Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS, pattern=r"\S")]
Stop = Annotated[str, Field(min_length=1, max_length=100)]
Time = Annotated[float, Field(ge=0, le=1e6), BeforeValidator(seconds)]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class JobRequest(BaseModel):
    """A job's checked input. A field whose default is None is filled from Settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    video_url: str = Field(min_length=1, max_length=MAX_URL_CHARACTERS)
    prompt: Prompt | None = None
    prompts: list[Prompt] | None = Field(None, min_length=1, max_length=MAX_PROMPTS)
    """Several questions, in place of the one; each is asked about the same frames."""
    system_prompt: Prompt | None = None
    max_tokens: int = Field(512, ge=1, le=32_768)
    """The most tokens generated per chunk, and again for the merged answer."""
    temperature: float = Field(0.7, ge=0, le=2)
    """0 is greedy decoding."""
    top_p: float = Field(0.8, gt=0, le=1)
    top_k: int = Field(20, ge=0, le=1000)
    """0 for no limit."""
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    stop: Annotated[list[Stop], Field(max_length=MAX_STOPS), BeforeValidator(_as_list)] = []
    """Texts before which an answer ends; one text may stand alone."""
    chunk_duration: float | None = Field(None, ge=1, le=86_400)
    """Seconds of video per chunk."""
    aggregate: bool = True
    start_time: Time = 0.0
    """Where the part of the video begins that is looked at."""
    end_time: Time | None = None
    """And where it ends; None for the end of the video."""
    sample_fps: float | None = Field(None, gt=0, le=60, validation_alias=AliasChoices(*SAMPLE_FPS))
    """Frames looked at per second of video. Known to callers as `fps` too."""
    max_frames: int | None = Field(None, ge=MIN_FRAMES)
    """The most frames looked at, in all chunks together."""
    resolution: Resolution = "medium"
    output: OutputForm = "text"
    """The form of the answers."""
    response_schema: dict[str, JsonValue] | None = None
    """A JSON Schema that every answer fulfils, in place of `output`."""
    frame_selection: FrameSelection = Field("uniform", alias="sampling")
    """Known to callers as `sampling`."""
    estimate: bool = False
    """Return what the job would take, and ask nothing."""
    max_seconds: float | None = Field(None, gt=0, le=86_400)
    """The most wall time that the job may take on the worker."""
    max_cost_usd: float | None = Field(None, gt=0, le=10_000)
    seed: int | None = Field(None, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Refuse fields that contradict each other."""
        if self.prompt is not None and self.prompts is not None:
            raise ValueError("prompt and prompts are both given: put all questions into prompts")
        if self.end_time is not None and self.end_time <= self.start_time:
            raise ValueError("end_time must be after start_time")
        if self.response_schema is not None and self.output != "text":
            raise ValueError("output and response_schema are both given: a schema is a form of its own")
        if self.stop and (self.response_schema is not None or self.output != "text"):
            raise ValueError("stop would cut the JSON that is asked for: leave it out")
        return self

    @property
    def looks_at_little(self) -> bool:
        """Whether a part of the file may be all that is needed."""
        return self.estimate or self.start_time > 0 or self.end_time is not None

    @property
    def has_budget(self) -> bool:
        """Whether the job may take only so many seconds or dollars."""
        return self.max_seconds is not None or self.max_cost_usd is not None

    def limit_s(self, price: Price) -> float:
        """Return how many seconds the job may take by its own budget.

        Raises:
            InputError: the budget is in dollars, and no price is known.
        """
        limit_s = math.inf if self.max_seconds is None else self.max_seconds
        if self.max_cost_usd is None:
            return limit_s
        if price.usd_per_second is None:
            raise InputError(
                "max_cost_usd cannot be kept: the price of this worker's GPU is not in GPU_USD_PER_SECOND."
            )
        return min(limit_s, self.max_cost_usd / price.usd_per_second)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """What is asked, in the caller's order.

        Raises:
            InputError: the schema cannot be used.
        """
        schema = None if self.response_schema is None else _guarded(self.response_schema)
        form: str = "schema" if schema else self.output
        texts = [self.prompt] if self.prompt is not None else self.prompts or []
        return tuple(Question(index, text, form, self.system_prompt, schema) for index, text in enumerate(texts))

    @property
    def scope(self) -> Scope:
        """Which part of the video is looked at, and how closely."""
        end_s = math.inf if self.end_time is None else self.end_time
        return Scope(self.start_time, end_s, self.max_frames, self.resolution, self.frame_selection)

    @property
    def presence_penalty_or_default(self) -> float:
        """The caller's, or the default of the form: a penalty also falls on digits and quotes that were used before."""
        if self.presence_penalty is not None:
            return self.presence_penalty
        return TEXT_PRESENCE_PENALTY if self.questions[0].form == "text" else 0.0


FIELDS = {field.alias or name: field for name, field in JobRequest.model_fields.items()}
"""By the names that callers use."""


def _guarded(schema: dict[str, JsonValue]) -> AnswerSchema:
    try:
        return guarded(schema)
    except SchemaRefused as exc:
        raise InputError(f"response_schema: {str(exc).removeprefix('/: ').rstrip('.')}.") from exc


def validate_input(job_input: object) -> JobRequest:
    """Check a job's input. A field that may be left out may be null as well.

    Raises:
        InputError: names every wrong field.
    """
    if not isinstance(job_input, dict):
        raise InputError("The job's input must be an object.")
    known = FIELDS | dict.fromkeys(SAMPLE_FPS)
    given = {name: value for name, value in job_input.items() if value is not None or name not in known}
    if given.keys() >= set(SAMPLE_FPS):
        raise InputError(f"{' and '.join(SAMPLE_FPS)} are two names of one field: give one of them.")
    lacking = [] if {"prompt", "prompts"} & given.keys() else ["prompt is missing"]
    try:
        request = JobRequest.model_validate(given)
    except ValidationError as exc:
        raise InputError(_explanation(exc, lacking)) from exc
    if lacking:
        raise InputError(f"{lacking[0]}. {WHERE_FIELDS_ARE_LISTED}")
    _ = request.questions  # refuses a schema that cannot be used
    return request


def _explanation(error: ValidationError, lacking: Sequence[str]) -> str:
    """Say what is wrong with every field, and where the fields are listed if one is unknown or missing."""
    faults = error.errors()
    unknown = {str(fault["loc"][0]) for fault in faults if fault["type"] == "extra_forbidden"}
    remarks = [OPENAI_BODY] if "messages" in unknown else []
    if unknown or lacking or any(fault["type"] == "missing" for fault in faults):
        remarks.append(WHERE_FIELDS_ARE_LISTED)
    ending = " ".join(["", *remarks])
    sentences = "; ".join([*fault_sentences(error, FIELDS, MEANT), *lacking])
    return f"{sentences[: MAX_SENTENCE_CHARACTERS - len(ending) - 1]}.{ending}"
