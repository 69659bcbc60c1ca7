"""Settings: the only reader of config.yaml and of the environment, and the only home of defaults."""

import ipaddress
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

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
    """Every tunable of the worker. Arguments > environment > config.yaml > defaults here.

    Each field is set by the environment variable of its name in upper case, and by the same
    name in lower case in config.yaml.
    """

    model_config = SettingsConfigDict(
        yaml_file=CONFIG_FILE, extra="forbid", frozen=True, env_ignore_empty=True, protected_namespaces=()
    )

    model_name: str = "Qwen/Qwen3-VL-8B-Instruct-FP8"
    """A Hugging Face model id or a directory with the checkpoint."""
    max_model_len: int = Field(131_072, ge=1024)
    """Longest prompt plus answer in tokens: a ceiling, lowered to what the GPU's memory can hold."""
    gpu_memory_utilization: float = Field(0.90, gt=0, le=1)
    kv_cache_dtype: Literal["auto", "bfloat16", "fp8"] = "auto"
    """auto: fp8 on cards of less than 40 GiB that can (Ada and newer), where it doubles the context."""
    load_format: str = "auto"
    """vLLM's way of reading the weights; `dummy` gives random weights for speed measurements."""
    enforce_eager: bool = False
    """Skip CUDA graph capture: a faster start, slower decoding."""
    max_num_seqs: int = Field(32, ge=1)
    max_num_batched_tokens: int | None = Field(None, ge=1024)
    """Tokens per engine step; None picks by the GPU's memory."""
    engine_stall_timeout_s: float = Field(300.0, gt=0)
    """How long the engine may take for one step before it counts as dead."""

    chunk_duration: float = Field(60.0, gt=0)
    """Seconds of video that one chunk answers for."""
    chunk_overlap: float = Field(2.0, ge=0)
    """Seconds of the next chunk that a chunk sees as well."""
    sample_fps: float = Field(2.0, gt=0, le=60)
    """Frames looked at per second of video: the rate that Qwen3-VL was trained at."""
    min_sample_fps: float = Field(0.5, gt=0)
    """The rate below which frames are made smaller, then chunks shorter, instead."""
    max_frames_per_chunk: int = Field(768, ge=2)
    max_video_tokens_per_chunk: int = Field(12_288, ge=64)
    """Vision tokens per chunk; the released processor's own limit is 12,288."""
    min_frame_tokens: int = Field(128, ge=1)
    """Tokens per pair of frames below which the rate falls before the size does (qwen-vl-utils VIDEO_MIN_TOKEN_NUM)."""
    max_frame_tokens: int = Field(768, ge=1)
    """Tokens per pair of frames at most (qwen-vl-utils VIDEO_MAX_TOKEN_NUM)."""

    max_concurrent_jobs: int = Field(4, ge=1)
    """Jobs that run at once on the one engine."""
    max_chunks_in_flight: int = Field(16, ge=1)
    """Chunks, over all jobs, that hold pixels or wait in the engine at once; bounds memory."""
    job_timeout_s: float = Field(3600.0, gt=0)
    work_dir: Path = Path(tempfile.gettempdir()) / "qwen3-vl-runpod"
    """Where a job's files lie while it runs."""

    max_download_bytes: int = Field(20 * 2**30, ge=1)
    download_timeout_s: float = Field(900.0, gt=0)
    """Total time for one source, retries included."""
    download_allow_private: HostsAndNetworks = ()
    """Hosts and networks that a download may reach although they are not public."""
    video_roots: Directories = ()
    """Directories from which a path or file:// URL is accepted."""
    max_video_duration_s: float = Field(86_400.0, gt=0)
    media_timeout_s: float = Field(120.0, gt=0)
    """Time for one ffmpeg run, for probing a file, and for the decoder to give its next frame."""

    decoder: Literal["auto", "cpu", "cuda"] = "cpu"
    """auto: on the GPU where there is one; where that fails, the CPU decodes after all."""
    fast_decode: bool = False
    """Leave out the decoder's loop filters: faster, and the frames differ a little (44 dB)."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # as above
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources, the strongest first."""
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def load_settings() -> Settings:
    """Read config.yaml and the environment.

    Raises:
        FileNotFoundError: config.yaml is missing; pydantic would silently use the defaults.
        pydantic.ValidationError: a key is unknown or a value out of range.
    """
    if not CONFIG_FILE.is_file():
        raise FileNotFoundError(f"{CONFIG_FILE.name} is missing beside the src directory")
    return Settings()
