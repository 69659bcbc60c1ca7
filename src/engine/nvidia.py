"""Asks NVIDIA's driver about the GPU, through its management library, which makes no CUDA context."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LIBRARY = "libnvidia-ml.so.1"
SUCCESS = 0
NAME_BYTES = 96
"""NVML_DEVICE_NAME_V2_BUFFER_SIZE."""


class _Memory(ctypes.Structure):
    """nvmlMemory_t of nvml.h: three sizes in bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def gpu_memory_bytes() -> int | None:
    """Return how much memory the first GPU has; None where the driver does not tell."""
    memory = _Memory()
    with _first_device() as found:
        if found is None:
            return None
        library, device = found
        told = library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == SUCCESS
    return int(memory.total) if told else None


def gpu_name() -> str | None:
    """Return what the first GPU is called, as `NVIDIA H200`; None where the driver does not tell."""
    name = ctypes.create_string_buffer(NAME_BYTES)
    with _first_device() as found:
        if found is None:
            return None
        library, device = found
        told = library.nvmlDeviceGetName(device, name, NAME_BYTES) == SUCCESS
    return name.value.decode("utf-8", "replace") if told else None


@contextmanager
def _first_device() -> Iterator[tuple[Any, ctypes.c_void_p] | None]:
    """The library and its handle of the first GPU."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        yield None
        return
    if library.nvmlInit_v2() != SUCCESS:
        yield None
        return
    device = ctypes.c_void_p()
    try:
        is_there = library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == SUCCESS
        yield (library, device) if is_there else None
    finally:
        library.nvmlShutdown()
