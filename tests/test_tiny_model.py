"""The tiny checkpoint is what the engine tests take it for: small, reproducible, and Qwen3-VL in all that they use."""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoProcessor, AutoTokenizer, Qwen3VLForConditionalGeneration

from tiny_model.build import RECIPE_FILE, SPECIAL_TOKENS, build_checkpoint

MAX_PARAMETERS = 1_500_000
MAX_BUILD_S = 20.0  # 0.1 s on two free cores once the packages are imported
TEXTS = [
    "A plain sentence, with  two spaces,\ttabs and\r\n\r\nlines. ",
    "  x=1; don't",
    "Ünïcödé, 中文字幕, العربية, हिन्दी, 🎬👩‍👩‍👧 and \x00\x7f",
    "<0.5 seconds> 1234567890",
    "".join(map(chr, range(0x250))),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def processor(checkpoint: Path) -> Any:
    return AutoProcessor.from_pretrained(checkpoint)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Qwen3VLForConditionalGeneration:
    return Qwen3VLForConditionalGeneration.from_pretrained(checkpoint).eval()


def hashes(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def prompt(processor: Any, question: str) -> str:
    content = [{"type": "video"}, {"type": "text", "text": question}]
    return processor.apply_chat_template(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}],
        tokenize=False,
        add_generation_prompt=True,
    )


def model_inputs(processor: Any, frames: np.ndarray, start_ms: int = 0, question: str = "What is seen?") -> Any:
    """Inputs for frames uint8 (T, H, W, 3) that stand 500 ms apart."""
    metadata = {
        "fps": 1000,
        "frames_indices": [start_ms + 500 * index for index in range(len(frames))],
        "total_num_frames": len(frames),
    }
    return processor(
        text=[prompt(processor, question)],
        videos=[torch.from_numpy(frames).permute(0, 3, 1, 2)],
        video_metadata=[metadata],
        do_resize=False,
        do_sample_frames=False,
        return_tensors="pt",
    )


def test_it_is_small(model: Qwen3VLForConditionalGeneration) -> None:
    assert sum(weight.numel() for weight in model.parameters()) < MAX_PARAMETERS
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_two_builds_are_the_same_bytes_and_take_seconds(checkpoint: Path, tmp_path: Path) -> None:
    start_s = time.perf_counter()
    again = build_checkpoint(tmp_path / "again")
    assert time.perf_counter() - start_s < MAX_BUILD_S
    assert hashes(again) == hashes(checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_current_checkpoint_is_left_alone_and_an_old_one_replaced(checkpoint: Path, tmp_path: Path) -> None:
    directory = build_checkpoint(tmp_path / "tiny")
    (directory / "mark").touch()
    assert (build_checkpoint(directory) / "mark").exists()
    (directory / RECIPE_FILE).write_text("of an earlier program")
    assert hashes(build_checkpoint(directory)) == hashes(checkpoint)


def test_a_directory_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(FileExistsError):
        build_checkpoint(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_round_trips(checkpoint: Path, text: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_digits_stand_alone_and_a_timestamp_has_as_many_tokens_as_in_qwen(processor: Any) -> None:
    assert processor.tokenizer.tokenize("1234") == list("1234")
    assert processor.tokenizer.tokenize("<120.2 seconds>") == ["<", "1", "2", "0", ".", "2", "Ġseconds", ">"]


def test_special_tokens_are_single_ids(processor: Any, model: Qwen3VLForConditionalGeneration) -> None:
    tokenizer = processor.tokenizer
    for token in SPECIAL_TOKENS:
        assert tokenizer(f"a{token}b").input_ids[1:-1] == [tokenizer.convert_tokens_to_ids(token)]
    assert tokenizer.decode(tokenizer("".join(SPECIAL_TOKENS)).input_ids, skip_special_tokens=True) == ""
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert model.config.video_token_id == tokenizer.convert_tokens_to_ids("<|video_pad|>")
    assert model.config.image_token_id == tokenizer.convert_tokens_to_ids("<|image_pad|>")
    assert model.config.text_config.vocab_size == len(tokenizer)


def test_images_and_videos_are_normalised_alike(processor: Any) -> None:
    image, video = processor.image_processor, processor.video_processor
    for values in (image.image_mean, image.image_std, video.image_mean, video.image_std):
        assert list(values) == [0.5, 0.5, 0.5]
    assert image.rescale_factor == video.rescale_factor == 1 / 255


def test_the_processors_have_the_real_sizes(processor: Any) -> None:
    image, video = processor.image_processor, processor.video_processor
    assert (image.size.shortest_edge, image.size.longest_edge) == (65_536, 16_777_216)
    assert (video.size.shortest_edge, video.size.longest_edge) == (4_096, 25_165_824)
    assert (video.fps, video.min_frames, video.max_frames) == (2, 4, 768)


def test_the_chat_template_is_chatml_with_vision_parts(processor: Any) -> None:
    assert prompt(processor, "Why?") == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Why?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    parts = [{"type": "image"}, {"type": "text", "text": "Why?"}]
    assert processor.apply_chat_template([{"role": "user", "content": parts}], tokenize=False) == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Why?<|im_end|>\n"
    )


def test_greedy_text_depends_on_frames_their_order_their_times_and_the_question(
    processor: Any, model: Qwen3VLForConditionalGeneration
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
    variants = {
        "as they are": model_inputs(processor, frames),
        "a pair's frames swapped": model_inputs(processor, frames[[1, 0, 2, 3]]),
        "pairs swapped": model_inputs(processor, frames[[2, 3, 0, 1]]),
        "a frame lost": model_inputs(processor, frames[:3]),
        "mirrored": model_inputs(processor, frames[:, :, ::-1].copy()),
        "red and blue swapped": model_inputs(processor, frames[..., ::-1].copy()),
        "half a second later": model_inputs(processor, frames, start_ms=500),
        "another question": model_inputs(processor, frames, question="What is heard?"),
    }
    texts = {}
    for name, inputs in variants.items():
        tokens = model.generate(**inputs, max_new_tokens=24)[0, inputs.input_ids.shape[1] :]
        texts[name] = processor.tokenizer.decode(tokens)
        assert len(tokens) == 24
        assert texts[name].isprintable()
    assert len(set(texts.values())) == len(variants), texts
