"""Undoes the compression of a response's body."""

import zlib
from collections.abc import AsyncGenerator, Iterator

from errors import DownloadError

MAX_PART_BYTES = 2**18
"""Upper bound for one decompressed part, because a small part may hold a thousand times its size."""
WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's parameter for each coding that is decoded."""
REFUSED = frozenset({"br", "zstd", "compress", "x-compress"})
"""Codings that are not decoded. Other names are taken as no coding: object stores return what was uploaded with the
file, such as `aws-chunked`."""


def codings(header: str) -> list[str]:
    """Return the codings of a Content-Encoding header that change the body, in the order in which they were applied.

    Raises:
        DownloadError: the body cannot be decoded.
    """
    names = [name.strip().lower() for name in header.split(",")]
    if refused := REFUSED.intersection(names):
        raise DownloadError(f"The source sends its content compressed as {min(refused)}, although asked not to.")
    return [name for name in names if name in WINDOW_BITS]


async def decoded(body: AsyncGenerator[bytes | memoryview], names: list[str]) -> AsyncGenerator[bytes | memoryview]:
    """Yield a body with its codings undone, in parts of at most MAX_PART_BYTES if there is one.

    Raises:
        zlib.error: the body is damaged or incomplete.
    """
    decoders = [_Decoder(name) for name in reversed(names)]
    async for part in body:
        if not decoders:
            yield part
            continue
        parts = iter((bytes(part),))
        for decoder in decoders:
            parts = decoder.decode(parts)
        for plain in parts:
            yield plain
    if not all(decoder.is_at_end for decoder in decoders):
        raise zlib.error("incomplete")


class _Decoder:
    """Decompresses a stream of parts. A gzip stream may consist of several members."""

    def __init__(self, name: str) -> None:
        self._window_bits = WINDOW_BITS[name]
        self._is_deflate = name == "deflate"
        self._decompressor = zlib.decompressobj(self._window_bits)
        self._has_begun = False

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is missing; an empty body is complete."""
        return self._decompressor.eof or not self._has_begun

    def decode(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        for part in parts:
            rest = part
            while rest:
                if self._decompressor.eof:
                    if self._is_deflate or not rest.strip(b"\0"):  # padding after the last member
                        break
                    self._decompressor = zlib.decompressobj(self._window_bits)
                plain = self._decompress(rest)
                rest = self._decompressor.unconsumed_tail or self._decompressor.unused_data
                if plain:
                    yield plain

    def _decompress(self, part: bytes) -> bytes:
        first = not self._has_begun
        self._has_begun = True
        try:
            return self._decompressor.decompress(part, MAX_PART_BYTES)
        except zlib.error:
            if not (first and self._is_deflate):
                raise
        # Some servers send deflate without the zlib header that RFC 9110, section 8.4.1.2, asks for.
        self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._decompressor.decompress(part, MAX_PART_BYTES)
