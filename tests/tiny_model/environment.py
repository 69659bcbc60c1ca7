"""The worker's settings for running the tiny model on a CPU."""

from pathlib import Path

CHECKPOINT = Path(__file__).resolve().parent / "checkpoint"
MIN_FRAME_TOKENS, MAX_FRAME_TOKENS = 4, 9
"""Per pair of frames: sides of 64 to 128 px, the sizes that the model was trained on."""


ENGINE_ENVIRONMENT = {
    # Read when vLLM is imported: no usage statistics, no access to Hugging Face, and no start-up messages.
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    # Threads that spin while they wait take the cores from the decoder and from other tests, which then run several
    # times slower.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}


def environment() -> dict[str, str]:
    """Return the environment of a worker that runs the tiny model; small frames let a CPU answer in seconds."""
    return {
        "MODEL_NAME": str(CHECKPOINT),
        "MAX_MODEL_LEN": "16384",
        "MAX_VIDEO_TOKENS_PER_CHUNK": "2048",
        "MIN_FRAME_TOKENS": str(MIN_FRAME_TOKENS),
        "MAX_FRAME_TOKENS": str(MAX_FRAME_TOKENS),
        # oneDNN, which only a CPU engine uses, caches 1,024 kernels by default, one for each number of tokens in a
        # batch. After 700 mixed jobs that took 300 MB and saved no time.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    } | ENGINE_ENVIRONMENT
