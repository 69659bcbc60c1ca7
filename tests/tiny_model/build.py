"""Build a Qwen3-VL checkpoint of about a million random weights, for tests without a GPU.

Architecture, processors, special tokens and prompt format are the real model's; widths, depths and the vocabulary
are not. The weights come from a fixed seed: the text is noise, but the same noise in every correct implementation.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import tokenizers
import torch
import transformers
from transformers import (
    GenerationConfig,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)

HERE = Path(__file__).resolve().parent
CHAT_TEMPLATE_FILE = HERE / "chat_template.jinja"
RECIPE_FILE = "recipe.sha256"
"""Holds the digest of `recipe` inside a checkpoint; only a directory that carries it is ever replaced."""

DEFAULT_DIRECTORY = HERE.parents[1] / ".cache" / "tiny_qwen3_vl"

SEED = 20250923
CONTEXT_TOKENS = 262_144  # Qwen3-VL's own, so that no length limit of a test comes from the model
PATCH_PX, MERGE, TEMPORAL = 16, 2, 2
ROPE = {"rope_type": "default", "rope_theta": 5_000_000.0, "mrope_section": [6, 5, 5], "mrope_interleaved": True}

EMBEDDING_SPREAD = 0.06  # well under a layer's output, else the model repeats its last token
ATTENTION_SHARPNESS = 2.0  # with 1, attention is near an average and the text falls into loops
LOGIT_GAIN = 4.0  # logits deviate by 2.7, far above rounding; with 1 they deviate by 0.7
MUTED_SCALE = 0.1  # of tied embeddings: as good an input (the first norm undoes it), a hopeless output

SPECIAL_NAMES = """
endoftext im_start im_end object_ref_start object_ref_end box_start box_end quad_start quad_end
vision_start vision_end vision_pad image_pad video_pad
"""
SPECIAL_TOKENS = [f"<|{name}|>" for name in SPECIAL_NAMES.split()]
"""In Qwen's order, after the text tokens."""

WORDS = """
seconds the a an and or of to in on at is are was with from for by not no yes it this that there then one two three
first last next before after while when where who what video scene frame person man woman people child car street
house room water sky light dark red green blue black white yellow left right top walks runs stands sits speaks opens
starts ends shows near behind small large new old
"""
"""Whole tokens where a space precedes. With "seconds", a timestamp is as many tokens as in Qwen's vocabulary."""


def build_tokenizer() -> Qwen2Tokenizer:
    """Qwen's tokenizer (its splitting, NFC, byte alphabet) over a vocabulary of bytes and the beginnings of WORDS.

    A byte is its own token id. The merges are written, not trained: each joins the beginning of a word to its next
    letter.
    """
    alphabet = byte_letters()
    vocab = {letter: index for index, letter in enumerate(alphabet)}
    merges: list[tuple[str, str]] = []
    for word in WORDS.split():
        beginning = alphabet[ord(" ")]
        for letter in word:
            if beginning + letter not in vocab:
                vocab[beginning + letter] = len(vocab)
                merges.append((beginning, letter))
            beginning += letter
    for token in SPECIAL_TOKENS:
        vocab[token] = len(vocab)
    return Qwen2Tokenizer(
        vocab=vocab,
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token=None,
        extra_special_tokens=SPECIAL_TOKENS,
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
    )


def byte_letters() -> list[str]:
    """The letter that stands for each byte 0 to 255 in a byte-level vocabulary (GPT-2's table).

    Visible Latin-1 characters stand for themselves; the other bytes take the code points from 256 on.
    """
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in visible else chr(next(others)) for byte in range(256)]


def build_processor(tokenizer: Qwen2Tokenizer) -> Qwen3VLProcessor:
    """Qwen3-VL's processor with the sizes of the 8B checkpoint.

    Mean and deviation are equal in both, because vLLM normalises videos with the image processor's.
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
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(
            size={"shortest_edge": 4_096, "longest_edge": 25_165_824}, fps=2, min_frames=4, max_frames=768, **common
        ),
        chat_template=CHAT_TEMPLATE_FILE.read_text(encoding="utf-8"),
    )


def build_config(tokenizer: Qwen2Tokenizer) -> Qwen3VLConfig:
    """The configuration of the tiny model, with the token ids of `tokenizer`."""
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


def build_model(config: Qwen3VLConfig, tokenizer: Qwen2Tokenizer) -> Qwen3VLForConditionalGeneration:
    """The model with weights from SEED, scaled so that greedy text depends on the frames, their times and the question.

    It never ends a text by itself, and writes nothing but printable ASCII: all other tokens are muted.
    """
    model = Qwen3VLForConditionalGeneration(config).to(torch.float32)
    generator = torch.Generator().manual_seed(SEED)
    for name, weight in sorted(model.named_parameters()):
        if name.endswith("bias"):
            weight.data.zero_()
        elif name.endswith(("q_norm.weight", "k_norm.weight")):
            weight.data.fill_(ATTENTION_SHARPNESS)
        elif "norm" in name:
            weight.data.fill_(LOGIT_GAIN if name.endswith("language_model.norm.weight") else 1.0)
        elif name.endswith(("embed_tokens.weight", "pos_embed.weight")):
            weight.data.normal_(0.0, EMBEDDING_SPREAD, generator=generator)
        else:
            weight.data.normal_(0.0, weight[0].numel() ** -0.5, generator=generator)  # keeps the scale of its input

    muted = [byte for byte in range(256) if not ord(" ") <= byte <= ord("~")]
    muted += tokenizer.convert_tokens_to_ids(SPECIAL_TOKENS)
    model.get_input_embeddings().weight.data[muted] *= MUTED_SCALE
    return model


def write_checkpoint(directory: Path) -> None:
    """Write every file of the checkpoint; the real one's layout, so that code which reads its JSON files works."""
    tokenizer = build_tokenizer()
    processor = build_processor(tokenizer)
    model = build_model(build_config(tokenizer), tokenizer)
    model.generation_config = GenerationConfig(
        eos_token_id=[tokenizer.eos_token_id, tokenizer.pad_token_id],
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    processor.image_processor.save_pretrained(directory)
    processor.video_processor.save_pretrained(directory)
    (directory / RECIPE_FILE).write_text(recipe(), encoding="ascii")


def recipe() -> str:
    """A digest of all that decides the files' bytes: this program, the template and the packages that write them."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + CHAT_TEMPLATE_FILE.read_bytes())
    for package in (tokenizers, torch, transformers):
        digest.update(f"{package.__name__}=={package.__version__}\n".encode())
    return digest.hexdigest()


def is_current(directory: Path) -> bool:
    """Whether the directory holds the checkpoint this program would write."""
    file = directory / RECIPE_FILE
    return file.is_file() and file.read_text(encoding="ascii") == recipe()


def build_checkpoint(directory: Path) -> Path:
    """Return `directory`, holding the complete checkpoint of the present recipe; build it only if it does not.

    Raises:
        FileExistsError: the directory holds files that are no checkpoint of an earlier recipe.
    """
    if is_current(directory):
        return directory
    if directory.exists() and any(directory.iterdir()) and not (directory / RECIPE_FILE).is_file():
        raise FileExistsError(f"{directory} was not built here: not replaced")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}-", dir=directory.parent) as scratch:
        fresh = Path(scratch, "fresh")
        write_checkpoint(fresh)
        if is_current(directory):  # another process was faster, and may be reading it
            return directory
        if directory.exists():
            directory.rename(Path(scratch, "stale"))
        fresh.rename(directory)
    return directory


def main() -> None:
    """Build into the directory named on the command line, or DEFAULT_DIRECTORY."""
    transformers.utils.logging.disable_progress_bar()
    directory = build_checkpoint(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_DIRECTORY)
    size = (directory / "model.safetensors").stat().st_size
    print(f"{directory}: Qwen3-VL with random weights, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
