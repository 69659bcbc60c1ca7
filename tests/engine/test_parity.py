"""The worker's engine against Hugging Face's implementation, fed by Qwen's own preprocessing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from answers import prompts
from records import FrameBatch, GenerationOptions
from synthetic_frames import frame_batch
from tiny_model.environment import CHECKPOINT
from vllm_client import VLLMClient

GREEDY = GenerationOptions(max_tokens=32, temperature=0, top_p=1, seed=None)
QUESTION = "What happens, and when?"


class Recorder:
    """Keeps what goes into vLLM and what comes out of it."""

    def __init__(self, generate: Any) -> None:
        self._generate = generate
        self.prompt_ids: list[int] = []
        self.output_ids: list[int] = []

    async def __call__(self, rendered: Any, *arguments: Any, **options: Any) -> AsyncIterator[Any]:
        self.prompt_ids = list(rendered["prompt_token_ids"])
        async for output in self._generate(rendered, *arguments, **options):
            self.output_ids = list(output.outputs[0].token_ids)
            yield output


class Reference:
    """Hugging Face's processor and model with the same checkpoint."""

    def __init__(self, checkpoint: Path) -> None:
        import torch
        from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

        self._processor = AutoProcessor.from_pretrained(checkpoint)
        self._model = Qwen3VLForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32).eval()

    def answer(self, batch: FrameBatch) -> tuple[list[int], list[int]]:
        """Prompt ids and 32 greedy output ids, by the path of Qwen's model card."""
        import torch
        from qwen_vl_utils import process_vision_info

        _, height_px, width_px, _ = batch.pixels.shape
        message = prompts.chunk_message(QUESTION, batch.chunk)
        video = {
            "type": "video",
            "video": [Image.fromarray(frame) for frame in batch.pixels],
            "resized_height": height_px,
            "resized_width": width_px,
        }
        conversation = [
            {"role": "system", "content": [{"type": "text", "text": message.system}]},
            {"role": "user", "content": [video, {"type": "text", "text": message.user}]},
        ]
        text = self._processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        _, videos, _ = process_vision_info(
            conversation, return_video_kwargs=True, return_video_metadata=True, image_patch_size=16
        )
        [(pixels, metadata)] = videos
        times_ms = [round(time_s * 1000) for time_s in batch.times_s]
        times_ms += times_ms[-1:] * (len(pixels) - len(times_ms))  # qwen-vl-utils repeats an odd last frame
        inputs = self._processor(
            text=[text],
            videos=[pixels],
            video_metadata=[metadata | {"fps": 1000, "frames_indices": times_ms}],
            do_resize=False,
            do_sample_frames=False,
            cap_pixels_per_frame=False,
            return_tensors="pt",
        )
        prompt_ids = inputs["input_ids"][0].tolist()
        with torch.inference_mode():
            output = self._model.generate(**inputs, max_new_tokens=GREEDY.max_tokens, do_sample=False)
        return prompt_ids, output[0, len(prompt_ids) :].tolist()


@pytest.fixture(scope="module")
def reference(client: VLLMClient) -> Reference:
    """Made after the engine has forked: see conftest."""
    assert client
    return Reference(CHECKPOINT)


@pytest.mark.parametrize(
    ("num_frames", "start_s", "height_px", "width_px"),
    # Sides are multiples of 64 and frames at least 16,384 px: qwen-vl-utils resizes lists of others (it takes the
    # merged patch for the patch), and would compare other pixels.
    [(8, 0.0, 64, 256), (7, 0.0, 192, 128), (9, 3600.0, 128, 128), (24, 3600.5, 128, 128), (1, 86_399.0, 128, 128)],
    ids=["even", "odd", "odd, an hour in", "even, an hour in", "one frame, a day in"],
)
async def test_prompt_and_answer_equal_those_of_hugging_face(
    client: VLLMClient,
    reference: Reference,
    monkeypatch: pytest.MonkeyPatch,
    num_frames: int,
    start_s: float,
    height_px: int,
    width_px: int,
) -> None:
    batch = frame_batch(num_frames, height_px, width_px, start_s=start_s, seed=num_frames)
    engine: Any = await client.initialize_model()
    recorder = Recorder(engine._engine.generate)
    monkeypatch.setattr(engine._engine, "generate", recorder)

    result = await client.process_video_chunk(QUESTION, batch, GREEDY)

    prompt_ids, output_ids = reference.answer(batch)
    assert recorder.prompt_ids == prompt_ids
    assert recorder.output_ids == output_ids
    assert result.generations[0].prompt_tokens == len(prompt_ids)
