"""Makes small PNG pictures for icons."""

from __future__ import annotations

import struct
import zlib


def png(colour: tuple[int, int, int], size: int = 16) -> bytes:
    """A square PNG of `size` pixels: `colour` (red, green, blue) with a lighter diagonal."""
    light = bytes(min(255, part + 80) for part in colour)
    rows = b"".join(
        b"\0" + b"".join(light if x == y else bytes(colour) for x in range(size)) for y in range(size)
    )  # fmt: skip
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0))
        + _chunk(b"IDAT", zlib.compress(rows, 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
