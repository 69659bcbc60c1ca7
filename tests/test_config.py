"""Where settings come from, and which are refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import config
from config import CONFIG_FILE, InvalidSettings, Settings, load_settings


def use_config_file(monkeypatch: pytest.MonkeyPatch, path: Path, text: str) -> None:
    path.write_text(text)
    monkeypatch.setattr(config, "CONFIG_FILE", path)
    monkeypatch.setitem(Settings.model_config, "yaml_file", path)


def test_arguments_win_over_the_environment_over_the_file_over_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Settings(chunk_duration=10.0).chunk_overlap == 2.0
    use_config_file(monkeypatch, tmp_path / "config.yaml", "chunk_duration: 11\nchunk_overlap: 7\n")
    assert (load_settings().chunk_duration, load_settings().chunk_overlap) == (11, 7)
    monkeypatch.setenv("CHUNK_DURATION", "21")
    assert (load_settings().chunk_duration, load_settings().chunk_overlap) == (21, 7)
    assert Settings(chunk_duration=31).chunk_duration == 31


@pytest.mark.parametrize("name", ["MODEL_NAME", "MAX_MODEL_LEN", "GPU_MEMORY_UTILIZATION", "MAX_FRAMES_PER_CHUNK"])
def test_the_promised_variables_exist_and_an_empty_one_counts_as_unset(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    default = getattr(load_settings(), name.lower())
    monkeypatch.setenv(name, "")
    assert getattr(load_settings(), name.lower()) == default


def test_the_defaults_are_the_promised_ones() -> None:
    settings = Settings()
    assert settings.model_name.endswith("Qwen3-VL-8B-Instruct-FP8")
    assert (settings.max_model_len, settings.gpu_memory_utilization) == (131_072, 0.90)
    assert (settings.max_frames_per_chunk, settings.chunk_duration, settings.chunk_overlap) == (768, 60.0, 2.0)


def test_every_key_of_the_shipped_config_file_is_a_setting_with_its_default() -> None:
    shipped = yaml.safe_load(CONFIG_FILE.read_text())
    assert shipped.pop("gpu_usd_per_second")["H200"] > 0  # the one table that stands there alone
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert {name: defaults[name] for name in shipped} == shipped


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("chunk_duratoin: 5\n", "the key chunk_duratoin is unknown (did you mean chunk_duration?)."),
        ("chunk_duration: 0\n", "CHUNK_DURATION must be above 0.0."),
        ("log_level: LOUD\n", "LOG_LEVEL must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'."),
        ("max_num_seqs: few\ntop: 1\n", "MAX_NUM_SEQS must be a whole number; the key top is unknown."),
    ],
    ids=["unknown key", "out of range", "not a choice", "two faults"],
)
def test_an_invalid_config_file_is_refused_in_one_sentence_that_names_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, sentence: str
) -> None:
    use_config_file(monkeypatch, tmp_path / "config.yaml", text)
    with pytest.raises(InvalidSettings) as refused:
        load_settings()
    assert str(refused.value) == f"The settings are wrong: {sentence}"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a: [\n", "config.yaml is not valid YAML, line 2: "),
        (b"\xff\xfe\x00", "config.yaml is not valid YAML"),
        (b"- a\n- b\n", "config.yaml must hold one `name: value` a line."),
        (b"hello", "config.yaml must hold one `name: value` a line."),
        (b"1: 2", "config.yaml must hold one `name: value` a line."),
    ],
)
def test_a_config_file_that_is_no_list_of_settings_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes, sentence: str
) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    monkeypatch.setattr(config, "CONFIG_FILE", path)
    with pytest.raises(InvalidSettings) as refused:
        load_settings()
    assert str(refused.value).startswith(sentence)
    assert "\n" not in str(refused.value)


def test_a_missing_config_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "CONFIG_FILE", tmp_path / "nowhere.yaml")
    with pytest.raises(InvalidSettings, match="missing"):
        load_settings()


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOWNLOAD_ALLOW_PRIVATE", "127.0.0.0/8, Media.Internal ,")
    monkeypatch.setenv("VIDEO_ROOTS", str(tmp_path))
    settings = load_settings()
    assert settings.download_allow_private == ("127.0.0.0/8", "media.internal")
    assert settings.video_roots == (tmp_path.resolve(),)


@pytest.mark.parametrize(
    ("name", "value"), [("DOWNLOAD_ALLOW_PRIVATE", "10.0.0.0/99"), ("VIDEO_ROOTS", "/no/such/directory")]
)
def test_a_list_with_an_invalid_entry_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=name):
        load_settings()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chunk_overlap": 100}, "CHUNK_OVERLAP is longer than CHUNK_DURATION"),
        ({"min_sample_fps": 3}, "MIN_SAMPLE_FPS is above SAMPLE_FPS"),
        ({"min_frame_tokens": 900}, "MIN_FRAME_TOKENS is above MAX_FRAME_TOKENS"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Settings(**changes)


@pytest.mark.parametrize("price", [0, -1, float("nan"), float("inf")])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    """A job's budget is divided by it."""
    with pytest.raises(ValidationError, match="gpu_usd_per_second"):
        Settings(gpu_usd_per_second={"H200": price})
