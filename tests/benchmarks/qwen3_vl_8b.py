"""Writes a checkpoint of Qwen3-VL-8B-Instruct-FP8 without its weights, for `LOAD_FORMAT=dummy`."""

import json
import shutil
from pathlib import Path

from tiny_model.environment import CHECKPOINT

VISION = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "out_hidden_size": 4096,
          "num_position_embeddings": 2304, "deepstack_visual_indexes": [8, 16, 24], "dtype": "bfloat16"}  # fmt: skip
LANGUAGE = {"num_hidden_layers": 36, "hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8,
            "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151936, "tie_word_embeddings": False,
            "dtype": "bfloat16"}  # fmt: skip
MROPE_SECTION = [24, 20, 20]
"""VISION, LANGUAGE and MROPE_SECTION are taken from config.json of Qwen3-VL-8B-Instruct."""
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
"""As in the -FP8 checkpoint, which does not quantise the vision tower and the last layer."""


def write_checkpoint(directory: Path) -> None:
    """Write all files of a checkpoint except the weights; the tokenizer is the test model's."""
    shutil.copytree(CHECKPOINT, directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((CHECKPOINT / "config.json").read_text())
    config |= {"dtype": "bfloat16", "tie_word_embeddings": False}
    config["text_config"] |= LANGUAGE
    config["text_config"]["rope_parameters"]["mrope_section"] = MROPE_SECTION
    config["vision_config"] |= VISION
    config["quantization_config"] = FP8 | {"modules_to_not_convert": ["lm_head", *vision_layers()]}
    (directory / "config.json").write_text(json.dumps(config, indent=2))


def vision_layers() -> list[str]:
    """The names of the vision tower's linear layers in the checkpoint."""
    blocks = [
        f"blocks.{block}.{layer}"
        for block in range(int(str(VISION["depth"])))
        for layer in ("attn.qkv", "attn.proj", "mlp.linear_fc1", "mlp.linear_fc2")
    ]
    mergers = ["merger", *(f"deepstack_merger_list.{number}" for number in range(3))]
    merging = [f"{merger}.{layer}" for merger in mergers for layer in ("linear_fc1", "linear_fc2")]
    return [f"model.visual.{layer}" for layer in ["patch_embed.proj", *blocks, *merging]]
