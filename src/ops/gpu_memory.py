"""Asks NVIDIA's driver for the memory of the GPU, through its management library, which makes no CUDA context."""

import ctypes

LIBRARY = "libnvidia-ml.so.1"
SUCCESS = 0


class _Memory(ctypes.Structure):
    """nvmlMemory_t of nvml.h: three sizes in bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def gpu_memory_bytes() -> int | None:
    """Return how much memory the first GPU has; None where the driver does not tell."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        return None
    if library.nvmlInit_v2() != SUCCESS:
        return None
    device, memory = ctypes.c_void_p(), _Memory()
    try:
        if library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) != SUCCESS:
            return None
        told = library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) == SUCCESS
        return int(memory.total) if told else None
    finally:
        library.nvmlShutdown()
