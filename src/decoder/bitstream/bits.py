"""Reads the bit fields of codec headers."""


class BitReader:
    """Reads big-endian bit fields and the Exp-Golomb codes of ITU-T H.264, 9.1.

    Every method raises EOFError where the bits end before the field does.
    """

    def __init__(self, content: bytes) -> None:
        self._bits = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def read(self, count: int) -> int:
        """An unsigned field of `count` bits."""
        self._left -= count
        if self._left < 0:
            raise EOFError
        return self._bits >> self._left & (1 << count) - 1

    def unsigned(self) -> int:
        """An unsigned Exp-Golomb code, ue(v)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """A signed Exp-Golomb code, se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code % 2 else -(code // 2)
