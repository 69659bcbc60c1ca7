"""The worker's settings for the test checkpoint on a CPU."""

from pathlib import Path


def environment(checkpoint: Path) -> dict[str, str]:
    """Environment of a worker that runs this checkpoint: small frames, so that a CPU answers in seconds."""
    return {
        "MODEL_NAME": str(checkpoint),
        "MAX_MODEL_LEN": "16384",
        "MAX_VIDEO_TOKENS_PER_CHUNK": "2048",
        "MIN_FRAME_TOKENS": "16",
        "MAX_FRAME_TOKENS": "64",
        # Read when vLLM is imported: nothing is sent out, and start-up messages do not bury what matters.
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
