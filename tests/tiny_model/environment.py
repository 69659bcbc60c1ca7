"""The worker's settings for the tiny model on a CPU."""

from pathlib import Path

CHECKPOINT = Path(__file__).resolve().parent / "checkpoint"
MIN_FRAME_TOKENS, MAX_FRAME_TOKENS = 4, 9
"""Of a pair of frames, 64 to 128 px a side: what the model was trained on."""


ENGINE_ENVIRONMENT = {
    # Read when vLLM is imported: nothing is sent out, and start-up messages do not bury what matters.
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    # Threads that spin while they wait take the cores from the decoder and from other tests: several times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}


def environment() -> dict[str, str]:
    """Environment of a worker that runs the tiny model: small frames, so that a CPU answers in seconds."""
    return {
        "MODEL_NAME": str(CHECKPOINT),
        "MAX_MODEL_LEN": "16384",
        "MAX_VIDEO_TOKENS_PER_CHUNK": "2048",
        "MIN_FRAME_TOKENS": str(MIN_FRAME_TOKENS),
        "MAX_FRAME_TOKENS": str(MAX_FRAME_TOKENS),
        # oneDNN, which only a CPU engine uses, keeps 1,024 kernels by default, one for each number of tokens a
        # batch can have: 300 MB after 700 mixed jobs, for no time saved.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    } | ENGINE_ENVIRONMENT
