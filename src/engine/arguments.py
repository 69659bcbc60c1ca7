"""The engine's arguments, each chosen for one video chunk a request, with the reason beside it."""

from dataclasses import dataclass
from typing import Any

from config import Settings
from vision import FRAME_FACTOR_PX, FRAMES_PER_PAIR

SMALL_CARD_BYTES = 40 * 2**30
CPU_KV_CACHE_BYTES = 128 * 2**20
FITTED_TO_MEMORY = -1
"""vLLM's own word for the longest context that the memory left for the KV cache can hold."""
MAX_IMAGES = 8
MAX_IMAGE_TOKENS = 1280
"""Eight such images are fewer tokens than one chunk, so they do not raise the encoder's budget."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """What decides the arguments of the card that the engine runs on."""

    memory_bytes: int
    has_fp8: bool
    """Compute capability 8.9 or more: below it vLLM's Triton backend refuses an FP8 KV cache."""


def engine_arguments(settings: Settings, gpu: Gpu | None) -> dict[str, Any]:
    """Return the keyword arguments of vLLM's AsyncEngineArgs.

    Args:
        settings: model, limits, GPU share.
        gpu: None on a CPU: float32 and no compilation, for tests.
    """
    small_card = gpu is not None and gpu.memory_bytes < SMALL_CARD_BYTES
    arguments: dict[str, Any] = {
        "model": settings.model_name,
        "load_format": settings.load_format,
        "use_tqdm_on_load": False,  # a progress bar means nothing in a log
        "seed": 0,
        # MAX_MODEL_LEN is a ceiling, kept by the client: 131,072 tokens of bf16 KV cache are 18.9 GB, which
        # no 24 GB card has left beside the weights, and vLLM refuses to start on a length that does not fit.
        "max_model_len": FITTED_TO_MEMORY,
        "max_num_seqs": settings.max_num_seqs,
        # vLLM's default for an in-process engine is 2,048 on any GPU. The encoder's budget and cache are as
        # large as this or one chunk: two chunks let the encoder work ahead of the language model.
        "max_num_batched_tokens": settings.max_num_batched_tokens or (8192 if gpu is None or small_card else 16384),
        "enable_chunked_prefill": True,
        "enable_prefix_caching": True,  # another question on the same chunk skips its frames
        "scheduling_policy": "priority",  # a synthesis, the last step of its job, goes before new chunks
        "limit_mm_per_prompt": {"image": MAX_IMAGES, "video": 1},
        # Frames come at their final size. `size` is what sets the encoder's budget and the memory profile.
        "mm_processor_kwargs": {
            "videos_kwargs": {
                "do_resize": False,
                "do_sample_frames": False,
                "cap_pixels_per_frame": False,
                "size": {
                    "shortest_edge": 4 * FRAME_FACTOR_PX**2,
                    "longest_edge": settings.max_video_tokens_per_chunk * FRAMES_PER_PAIR * FRAME_FACTOR_PX**2,
                },
            },
            "images_kwargs": {
                "do_resize": False,
                "size": {
                    "shortest_edge": 4 * FRAME_FACTOR_PX**2,
                    "longest_edge": MAX_IMAGE_TOKENS * FRAME_FACTOR_PX**2,
                },
            },
        },
        "mm_processor_cache_gb": 0,  # a chunk is seen once, and the cache drifts after refused requests
        # By name: else the first request of the engine's life chooses for all later ones, and may choose one that
        # ignores a part of a schema. Blanks between JSON's values could go on for ever.
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
        "enable_log_requests": False,  # prompts never enter a log
        "disable_log_stats": True,
    }
    if gpu is None:
        return arguments | {
            "dtype": "float32",
            "enforce_eager": True,
            "kv_cache_memory_bytes": CPU_KV_CACHE_BYTES,  # with eager mode this skips a slow warm-up
        }
    kv_cache_dtype = settings.kv_cache_dtype
    if kv_cache_dtype == "auto" and small_card and gpu.has_fp8:
        kv_cache_dtype = "fp8"
    return arguments | {
        "enforce_eager": settings.enforce_eager,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "kv_cache_dtype": kv_cache_dtype,
    }
