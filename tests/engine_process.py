"""The engine's process, for those who stop it, kill it or bind it to a core."""

import psutil


def engine_process() -> psutil.Process:
    """The process of the one engine that this one runs."""
    children = psutil.Process().children(recursive=True)
    (engine,) = (child for child in children if "EngineCore" in " ".join(child.cmdline()))
    return engine
