"""The worker's settings. Only this file reads config.yaml and the environment, and all defaults are here."""

import ipaddress
import tempfile
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from validation import fault_sentences

CONFIG_FILE = Path(__file__).parents[1] / "config.yaml"


def _comma_separated(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _existing_directory(path: Path) -> Path:
    if not path.is_dir():
        raise ValueError(f"{path} is not a directory")
    return path.resolve()


def _host_or_network(entry: str) -> str:
    if "/" in entry:
        ipaddress.ip_network(entry)
    return entry.lower()


HostsAndNetworks = Annotated[
    tuple[Annotated[str, AfterValidator(_host_or_network)], ...], NoDecode, BeforeValidator(_comma_separated)
]
Directories = Annotated[
    tuple[Annotated[Path, AfterValidator(_existing_directory)], ...], NoDecode, BeforeValidator(_comma_separated)
]


class Settings(BaseSettings):
    """Every setting of the worker. Precedence: arguments > environment > config.yaml > defaults here.

    A field is set by the environment variable with its name in upper case, or by a key with its name in config.yaml.
    """

    model_config = SettingsConfigDict(
        yaml_file=CONFIG_FILE, extra="forbid", frozen=True, env_ignore_empty=True, protected_namespaces=()
    )

    model_name: str = "Qwen/Qwen3-VL-8B-Instruct-FP8"
    """A Hugging Face model id, or a directory with a checkpoint."""
    max_model_len: int = Field(131_072, ge=1024)
    """Upper bound for prompt plus answer in tokens. The worker lowers it to what the GPU's memory can hold."""
    gpu_memory_utilization: float = Field(0.90, gt=0, le=1)
    """Fraction of the GPU's memory that vLLM may take."""
    kv_cache_dtype: Literal["auto", "bfloat16", "fp8"] = "auto"
    """auto: fp8 on GPUs with less than 40 GiB that support it (Ada and newer), where it doubles the context."""
    load_format: str = "auto"
    """How vLLM reads the weights; `dummy` makes random weights, for speed measurements."""
    enforce_eager: bool = False
    """Skip CUDA graph capture: the engine starts faster and decodes slower."""
    max_num_seqs: int = Field(32, ge=1)
    """Requests in the engine's batch."""
    max_num_batched_tokens: int | None = Field(None, ge=1024)
    """Tokens per engine step; None chooses by the GPU's memory."""
    engine_start_timeout_s: float = Field(1800.0, gt=0)
    """How long loading the model may take, the download of its weights included."""
    schema_timeout_s: float = Field(300.0, gt=0)
    """Longest time for one answer that must fulfil a schema, in seconds."""
    engine_stall_timeout_s: float = Field(300.0, gt=0)
    """Longest time for one engine step, in seconds; an engine that takes longer counts as dead."""

    chunk_duration: float = Field(60.0, gt=0)
    """Seconds of video per chunk."""
    chunk_overlap: float = Field(2.0, ge=0)
    """Seconds of the next chunk that each chunk also sees."""
    sample_fps: float = Field(2.0, gt=0, le=60)
    """Frames sampled per second of video. Qwen3-VL was trained at 2."""
    min_sample_fps: float = Field(0.5, gt=0)
    """Lowest sampling rate. If a chunk does not fit at this rate, its frames are made smaller, then chunks shorter."""
    max_frames_per_chunk: int = Field(768, ge=2)
    max_video_tokens_per_chunk: int = Field(12_288, ge=64)
    """Vision tokens per chunk; the released processor's own limit is 12,288."""
    min_frame_tokens: int = Field(128, ge=1)
    """Tokens per pair of frames below which the sampling rate is lowered instead of the frame size (qwen-vl-utils
    VIDEO_MIN_TOKEN_NUM)."""
    max_frame_tokens: int = Field(768, ge=1)
    """Upper bound for the tokens per pair of frames (qwen-vl-utils VIDEO_MAX_TOKEN_NUM)."""

    max_concurrent_jobs: int = Field(4, ge=1)
    """Jobs that run at once; they share one engine."""
    max_chunks_in_flight: int = Field(16, ge=1)
    """Chunks of all jobs together that hold pixels or wait in the engine at once; this bounds memory."""
    job_timeout_s: float = Field(3600.0, gt=0)
    """Time limit for one whole job."""
    work_dir: Path = Path(tempfile.gettempdir()) / "qwen3-vl-runpod"
    """Directory for the files of running jobs."""

    max_download_bytes: int = Field(20 * 2**30, ge=1)
    """Largest video file that is downloaded."""
    download_timeout_s: float = Field(900.0, gt=0)
    """Time limit for one download, retries included."""
    download_allow_private: HostsAndNetworks = ()
    """Hosts and networks that downloads may reach although they are not public."""
    video_roots: Directories = ()
    """Directories below which a job may name a file by path or file:// URL."""
    max_video_duration_s: float = Field(86_400.0, gt=0)
    media_timeout_s: float = Field(120.0, gt=0)
    """Time limit for one ffmpeg run, for probing a file, and for each frame of the decoder. Probing reads all of a file
    and may take longer if the file is large: a second for every 50 MB."""
    require_sandbox: bool = False
    """Refuse to start, and to read a video, where the machine lacks a layer of the sandbox."""

    decoder: Literal["auto", "cpu", "cuda"] = "cpu"
    """auto: decode on the GPU if there is one; if the GPU fails, the CPU takes over."""
    fast_decode: bool = False
    """Skip the decoder's loop filters: faster, and frames differ slightly (PSNR 44 dB)."""

    gpu_usd_per_second: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = {}
    """What a second of a worker costs, by words of its GPU's name."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        """Refuse settings that contradict each other, before anything long begins."""
        contradictions = {
            "CHUNK_OVERLAP is longer than CHUNK_DURATION": self.chunk_overlap > self.chunk_duration,
            "MIN_SAMPLE_FPS is above SAMPLE_FPS": self.min_sample_fps > self.sample_fps,
            "MIN_FRAME_TOKENS is above MAX_FRAME_TOKENS": self.min_frame_tokens > self.max_frame_tokens,
        }
        if found := [sentence for sentence, is_so in contradictions.items() if is_so]:
            raise ValueError("; ".join(found))
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, highest precedence first."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


class InvalidSettings(Exception):
    """The settings cannot be used; the message is one sentence that names the variables or keys and says why."""


def load_settings() -> Settings:
    """Read config.yaml and the environment.

    Raises:
        InvalidSettings: a key is unknown, a value is invalid, or config.yaml cannot be read. (Of a missing file
            pydantic would say nothing and use the defaults.)
    """
    _check_config_file()
    try:
        return Settings()
    except ValidationError as exc:
        sentences = map(_in_upper_case, fault_sentences(exc, Settings.model_fields, {}))
        raise InvalidSettings(f"The settings are wrong: {'; '.join(sentences)}.") from exc


def _check_config_file() -> None:
    name = CONFIG_FILE.name
    try:
        document = yaml.safe_load(CONFIG_FILE.read_bytes())
    except FileNotFoundError as exc:
        raise InvalidSettings(f"{name} is missing beside the src directory.") from exc
    except OSError as exc:
        raise InvalidSettings(f"{name} cannot be read: {exc.strerror}.") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        mark, problem = getattr(exc, "problem_mark", None), getattr(exc, "problem", None)
        reason = f", line {mark.line + 1}: {problem}" if mark and problem else ""
        raise InvalidSettings(f"{name} is not valid YAML{reason}.") from exc
    if not isinstance(document, dict | None) or not all(isinstance(key, str) for key in document or ()):
        raise InvalidSettings(f"{name} must hold one `name: value` a line.")


def _in_upper_case(sentence: str) -> str:
    """Name a setting as its variable is called; a key that is unknown stays as it is written in the file."""
    name, space, rest = sentence.partition(" ")
    if name.rstrip(":").partition("[")[0] in Settings.model_fields:
        return f"{name.upper()}{space}{rest}"
    # Only the file can hold an unknown key: pydantic reads no variables but those of the fields.
    return f"the key {sentence}" if rest.startswith("is unknown") else sentence
