"""Which checkpoints this worker answers rightly with."""

from typing import Any

from errors import EngineStartFailed

FAMILIES = frozenset(["qwen3_vl", "qwen3_vl_moe"])
"""`model_type` of the checkpoints whose prompt format, timestamps and caches this worker was made for."""
THINKING_MARK = "<think>"


def check_served(model_name: str, model_type: str, processor: Any) -> None:
    """Refuse a checkpoint of which the answers would be wrong without a word.

    Args:
        model_name: as configured.
        model_type: of the checkpoint's configuration.
        processor: the checkpoint's Hugging Face processor; its chat template tells a thinking model.

    Raises:
        EngineStartFailed: with the reason.
    """
    if model_type not in FAMILIES:
        raise EngineStartFailed(
            f"MODEL_NAME {model_name} is a {model_type} model; this worker serves {' and '.join(sorted(FAMILIES))}."
        )
    conversation = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
    prompt = processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    if THINKING_MARK in prompt:
        raise EngineStartFailed(
            f"MODEL_NAME {model_name} is a thinking model, and its thoughts would be taken for its answer; "
            "use the Instruct one."
        )
