"""Writes codec headers bit by bit, as the standards define them."""

from __future__ import annotations

from typing import Self


class BitWriter:
    """Collects big-endian bit fields; every method returns the writer."""

    def __init__(self) -> None:
        self._bits = ""

    def write(self, value: int, count: int = 1) -> Self:
        """An unsigned field of `count` bits."""
        assert 0 <= value < 1 << count
        self._bits += f"{value:0{count}b}"
        return self

    def unsigned(self, value: int) -> Self:
        """An unsigned Exp-Golomb code, ITU-T H.264, 9.1."""
        binary = f"{value + 1:b}"
        self._bits += "0" * (len(binary) - 1) + binary
        return self

    def signed(self, value: int) -> Self:
        """A signed Exp-Golomb code, ITU-T H.264, 9.1.1."""
        return self.unsigned(2 * value - 1 if value > 0 else -2 * value)

    def align(self) -> Self:
        """Zeros up to a whole byte."""
        self._bits += "0" * (-len(self._bits) % 8)
        return self

    def to_bytes(self) -> bytes:
        """All bits, filled up to whole bytes with zeros."""
        length = -(-len(self._bits) // 8)
        return int(self._bits.ljust(8 * length, "0") or "0", 2).to_bytes(length, "big")
