# ruff: noqa: N802  # the functions have nvml.h's names
"""The driver's answer is read as nvml.h lays it out; a machine without the driver has none."""

import ctypes
import struct

import pytest

from engine import nvidia


class Driver:
    """NVIDIA's management library with one GPU."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.is_initialised = False

    def nvmlInit_v2(self) -> int:  # NVML's names
        self.is_initialised = True
        return 0

    def nvmlShutdown(self) -> int:  # NVML's names
        self.is_initialised = False
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, device: ctypes.c_void_p) -> int:  # NVML's names
        ctypes.memmove(device, struct.pack("P", 4321), struct.calcsize("P"))
        return 0 if self.is_initialised and index == 0 else 1

    def nvmlDeviceGetMemoryInfo(self, device: ctypes.c_void_p, memory: ctypes.c_void_p) -> int:  # NVML's names
        written = struct.pack("QQQ", 150_754_820_096, 7, 8)  # nvmlMemory_t: total, free, used
        ctypes.memmove(memory, written, len(written))
        return self.status if device.value == 4321 else 2


@pytest.mark.parametrize(("status", "answer"), [(0, 150_754_820_096), (3, None)])
def test_the_drivers_answer_is_the_memory_of_the_first_gpu(
    monkeypatch: pytest.MonkeyPatch, status: int, answer: int | None
) -> None:
    driver = Driver(status)
    monkeypatch.setattr(ctypes, "CDLL", {nvidia.LIBRARY: driver}.__getitem__)
    assert nvidia.gpu_memory_bytes() == answer
    assert not driver.is_initialised


def test_without_a_driver_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "LIBRARY", "libno-such-driver.so.1")
    assert nvidia.gpu_memory_bytes() is None
