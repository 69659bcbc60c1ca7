"""Behind VLLMClient: the only files that import vLLM, and only when the engine is built."""
