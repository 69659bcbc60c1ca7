"""Behind VLLMClient: from chunk answers to one answer."""
