"""Behind VLLMClient: what the model is told, and how its answers become one."""
