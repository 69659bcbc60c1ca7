"""A checkpoint that this worker would answer wrongly with is refused by name."""

import pytest
from transformers import AutoProcessor

from engine.checkpoint import check_served
from errors import EngineStartFailed
from tiny_model.environment import CHECKPOINT


@pytest.fixture(scope="module")
def processor() -> AutoProcessor:
    return AutoProcessor.from_pretrained(CHECKPOINT)


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_vl_moe"])
def test_an_instruct_model_of_a_served_family_is_accepted(processor: AutoProcessor, family: str) -> None:
    check_served("some/model", family, processor)


@pytest.mark.parametrize("family", ["qwen3_5", "qwen2_5_vl", "gpt2"])
def test_another_family_is_refused_by_its_name(processor: AutoProcessor, family: str) -> None:
    with pytest.raises(EngineStartFailed, match=f"some/model is a {family} model"):
        check_served("some/model", family, processor)


def test_a_model_that_thinks_before_it_answers_is_refused(
    processor: AutoProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "chat_template", processor.chat_template + "<think>\n")
    with pytest.raises(EngineStartFailed, match="thinking model"):
        check_served("some/model", "qwen3_vl", processor)
