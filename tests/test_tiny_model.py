"""The test model is small, made by the programs beside it, and Qwen3-VL in all that the worker sees of it.

torch and transformers are imported by the tests that use them: each process of a run collects this file, and importing
them takes it seconds.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.report import RESULTS
from tiny_model import world
from tiny_model.environment import CHECKPOINT
from tiny_model.score import score, sightings_in
from tiny_model.world import COLOURS, Sighting, Subject

MAX_PARAMETERS = 1_500_000
MAX_BYTES = 6_000_000
TEXTS = [
    "A plain sentence, with  two spaces,\ttabs and\r\n\r\nlines. ",
    "  x=1; don't",
    "Ünïcödé, 中文字幕, العربية, हिन्दी, 🎬👩‍👩‍👧 and \x00\x7f",
    "<0.5 seconds> 1234567890",
    "".join(map(chr, range(0x250))),
]


@pytest.fixture(scope="module")
def processor() -> Any:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(CHECKPOINT)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import Qwen3VLForConditionalGeneration

    return Qwen3VLForConditionalGeneration.from_pretrained(CHECKPOINT).eval()


def prompt(processor: Any, question: str) -> str:
    content = [{"type": "video"}, {"type": "text", "text": question}]
    text: str = processor.apply_chat_template(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}],
        tokenize=False,
        add_generation_prompt=True,
    )
    return text


def test_it_is_small(model: Any) -> None:
    import torch

    assert sum(weight.numel() for weight in model.parameters()) < MAX_PARAMETERS
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert (CHECKPOINT / "model.safetensors").stat().st_size < MAX_BYTES


def test_its_files_are_those_that_training_writes(processor: Any, model: Any) -> None:
    from tiny_model.architecture import build_config, build_processor

    built = build_processor()
    assert processor.tokenizer.get_vocab() == built.tokenizer.get_vocab()
    assert processor.tokenizer.backend_tokenizer.to_str() == built.tokenizer.backend_tokenizer.to_str()
    assert processor.chat_template == built.chat_template
    assert model.config.to_diff_dict()["text_config"] == build_config(built.tokenizer).to_diff_dict()["text_config"]


def test_its_card_tells_what_the_benchmark_measured() -> None:
    from benchmarks.bench_tiny_model import card_rows

    figures = json.loads((RESULTS / "tiny-model.json").read_text())["figures"]
    assert "\n".join(card_rows(figures)) in (CHECKPOINT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_round_trips(text: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_time_is_one_or_two_tokens(processor: Any) -> None:
    times = {"<5.0 seconds>": ["5.0"], "<45.6 seconds>": ["45.6"], "<103.5 seconds>": ["1", "03.5"],
             "<86399.5 seconds>": ["863", "99.5"]}  # fmt: skip
    for text, tokens in times.items():
        assert processor.tokenizer.tokenize(text) == ["<", *tokens, "Ġseconds>"]


def test_special_tokens_are_single_ids(processor: Any, model: Any) -> None:
    from tiny_model.vocabulary import SPECIAL_TOKENS

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


def test_training_batches_are_functions_of_their_step() -> None:
    import torch

    from tiny_model.architecture import build_processor
    from tiny_model.batches import JointBatches

    first, second = (JointBatches(build_processor(), 1, 100)[60] for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.answers, other.answers)
    assert first[0].patches is not None
    assert second[0].patches is not None
    assert torch.equal(first[0].patches, second[0].patches)


def test_the_fast_vision_pass_is_the_plain_one() -> None:
    import torch

    from tiny_model.architecture import build_model, build_processor
    from tiny_model.batches import JointBatches
    from tiny_model.learner import Learner

    processor = build_processor()
    plain = build_model(processor.tokenizer, seed=1)
    chunks, _ = JointBatches(processor, 1, 100)[60]
    with torch.no_grad():
        expected = plain.model.visual(chunks.patches, grid_thw=chunks.grids).pooler_output
        learner = Learner(plain)
        fast = learner.model.model.visual(chunks.patches, grid_thw=chunks.grids).pooler_output
        again = learner.plain_model().model.visual(chunks.patches, grid_thw=chunks.grids).pooler_output
    assert torch.allclose(fast, expected, atol=1e-5)
    assert torch.equal(again, expected)


def test_training_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    import torch

    from tiny_model.architecture import build_processor
    from tiny_model.batches import VisionBatches
    from tiny_model.training import Training

    processor = build_processor()
    batch = VisionBatches(processor, 1, 10)[0]
    going = Training(processor, tmp_path)
    going.update(going.learner.vision_loss(batch))
    going.save()
    resumed = Training(processor, tmp_path)
    for training in (going, resumed):
        training.update(training.learner.vision_loss(batch))
    assert resumed.step == going.step == 2
    for one, other in zip(going.learner.parameters(), resumed.learner.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_training_that_is_over_is_not_taken_up_again(tmp_path: Path) -> None:
    from tiny_model.architecture import build_processor
    from tiny_model.training import Training

    processor = build_processor()
    training = Training(processor, tmp_path)
    training.step = 7
    training.say("trained")
    training.save()
    training.finish(tmp_path)
    assert Training(processor, tmp_path).step == 0
    assert (tmp_path / "training.log").read_text() == "trained\n"


@pytest.mark.parametrize("shape", [(256, 128), (32, 96)])
def test_an_orthogonalised_matrix_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    import torch

    from tiny_model.optimiser import orthogonalised

    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
    assert 0.6 < values.min() < values.max() < 1.3


def test_a_subject_counts_from_the_first_pair_that_shows_it_in_either_frame() -> None:
    red, blue = Subject("red", "circle"), Subject("blue", "cross")
    seen = world.sightings([red, red, red, blue, blue], world.stamps_s([60.0, 60.5, 61.0, 61.5, 62.0]))
    assert list(map(str, seen)) == ["<60.2 seconds> red circle", "<61.2 seconds> blue cross"]
    assert sightings_in("\n".join(map(str, seen))) == [Sighting(60.2, red), Sighting(61.2, blue)]


def test_a_drawn_subject_has_its_colour_wherever_it_moves() -> None:
    generator = np.random.default_rng(3)
    timeline = world.random_timeline(generator, [0.0, 30.0, 60.0], 90.0, 16 / 9)
    for time_s in np.arange(0, 90, 5.0).tolist():
        scene = timeline.scenes[timeline.index_at(time_s)]
        (picture,) = world.render(timeline, [time_s], 72, 128)
        inside = (picture == scene.tint).all(-1)
        assert np.abs(np.array(scene.tint) - COLOURS[scene.subject.colour]).max() <= 18
        assert inside.sum() > 60


def test_marks_tell_what_is_wrong_with_an_answer() -> None:
    red, blue, green = (
        Sighting(10.0 * n, Subject(colour, "cross")) for n, colour in enumerate(["red", "blue", "green"])
    )
    truth = [red, blue, green]
    perfect, late, missing = (
        score("\n".join(map(str, answer)), truth)
        for answer in (truth, [red, blue._replace(stamp_s=14.0), green], [red, green])
    )
    assert (perfect.exact, perfect.count, perfect.named, perfect.timed) == (True, True, 3, 3)
    assert (late.exact, late.count, late.named, late.timed) == (False, True, 3, 2)
    assert (missing.exact, missing.count, missing.scenes, missing.named) == (False, False, 3, 2)
    assert score("I see nothing.", truth).named == 0
