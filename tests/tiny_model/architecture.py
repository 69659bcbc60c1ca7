"""The untrained tiny model: Qwen3-VL's architecture with small widths, initialised to learn fast."""

from pathlib import Path

import torch
from torch import nn
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

from tiny_model.vocabulary import HUNDREDS_OF_TIME, UNITS_OF_TIME, build_tokenizer

CHAT_TEMPLATE_FILE = Path(__file__).with_name("chat_template.jinja")

CONTEXT_TOKENS = 262_144  # the same as Qwen3-VL, so the model never limits the length of a test
PATCH_PX, MERGE, TEMPORAL = 16, 2, 2
ROPE = {"rope_type": "default", "rope_theta": 5_000_000.0, "mrope_section": [6, 5, 5], "mrope_interleaved": True}

EMBEDDING_SPREAD = 0.06
ATTENTION_SHARPNESS = 1.8
"""Initial weight of the norms on queries and keys. At 1, no key among a thousand can get more than a fifth of a head's
attention."""
BRANCH_SCALE = 0.5
"""Initial scale of the matrices that write into the residual stream."""
DIGIT_SHARE, NOISE_SHARE = 0.58, 0.25
"""Weights of a number's two embedding parts: a code for each digit and its place, and noise that is its own."""


def build_processor() -> Qwen3VLProcessor:
    """Qwen3-VL's processor with the sizes of the 8B checkpoint.

    The image and the video processor have the same mean and standard deviation, because vLLM normalises videos with
    the image processor's.
    """
    common = {
        "patch_size": PATCH_PX,
        "merge_size": MERGE,
        "temporal_patch_size": TEMPORAL,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size={"shortest_edge": 65_536, "longest_edge": 16_777_216}, **common),
        tokenizer=build_tokenizer(CONTEXT_TOKENS),
        video_processor=Qwen3VLVideoProcessor(
            size={"shortest_edge": 4_096, "longest_edge": 25_165_824}, fps=2, min_frames=4, max_frames=768, **common
        ),
        chat_template=CHAT_TEMPLATE_FILE.read_text(encoding="utf-8"),
    )


def build_config(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    """Return the configuration of the tiny model, with the token ids of the tokenizer."""
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 32,
        "max_position_embeddings": CONTEXT_TOKENS,
        "rope_parameters": ROPE,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }
    vision = {
        "depth": 2,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_heads": 4,
        "patch_size": PATCH_PX,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": TEMPORAL,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
        "out_hidden_size": text["hidden_size"],
        "dtype": "float32",
    }
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=True,
        dtype="float32",
    )


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3VLForConditionalGeneration:
    """Build the untrained model.

    Attention has a "mimetic" initialisation (Trockman and Kolter, 2023): values pass through, and tokens attend to
    similar ones. The embeddings of numbers start as sums of codes that equal digits share.
    """
    model = Qwen3VLForConditionalGeneration(build_config(tokenizer)).to(torch.float32)
    generator = torch.Generator().manual_seed(seed)
    for name, weight in sorted(model.named_parameters()):
        if name.endswith("bias"):
            nn.init.zeros_(weight)
        elif name.endswith(("q_norm.weight", "k_norm.weight")):
            nn.init.constant_(weight, ATTENTION_SHARPNESS)
        elif "norm" in name:
            nn.init.ones_(weight)
        elif name.endswith(("embed_tokens.weight", "pos_embed.weight")):
            weight.data.normal_(0.0, EMBEDDING_SPREAD, generator=generator)
        else:
            weight.data.normal_(0.0, weight[0].numel() ** -0.5, generator=generator)
            if name.endswith(("o_proj.weight", "down_proj.weight", "linear_fc2.weight", "attn.proj.weight")):
                weight.data.mul_(BRANCH_SCALE)
    for layer in model.model.language_model.layers:
        attention = layer.self_attn
        nn.init.orthogonal_(attention.v_proj.weight, generator=generator)
        attention.o_proj.weight.data.copy_(0.7 * attention.v_proj.weight.data.T)
        attention.q_proj.weight.data.mul_(0.7).add_(attention.k_proj.weight.data, alpha=0.7)
    _embed_numbers(model.get_input_embeddings().weight.data, tokenizer, generator)
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    return model


def _embed_numbers(embeddings: torch.Tensor, tokenizer: PreTrainedTokenizerFast, generator: torch.Generator) -> None:
    width = embeddings.shape[1]
    for numbers in (HUNDREDS_OF_TIME, UNITS_OF_TIME):
        codes = torch.randn(3, 10, width, generator=generator)
        for number in numbers:
            digits = number.replace(".", "").rjust(3, "0")
            code = sum(codes[place, int(digit)] for place, digit in enumerate(digits))
            noise = torch.randn(width, generator=generator)
            token = tokenizer.convert_tokens_to_ids(number)
            embeddings[token] = EMBEDDING_SPREAD * (DIGIT_SHARE * code + NOISE_SHARE * noise)


def save_checkpoint(model: Qwen3VLForConditionalGeneration, processor: Qwen3VLProcessor, directory: Path) -> None:
    """Write every file of a checkpoint in the layout of the real one, whose JSON files some code reads."""
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    processor.image_processor.save_pretrained(directory)
    processor.video_processor.save_pretrained(directory)
