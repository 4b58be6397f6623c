"""Reading a body up to a limit, and unpacking it ourselves, so that what comes out of a compressed piece is limited,
too.

httpx unpacks whatever Content-Encoding names, layer upon layer, and each piece as a whole: a few kilobytes of gzip
within gzip become gigabytes before anybody can count them. We ask for one layer of gzip and accept nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

ACCEPTED = "gzip"
"""The Accept-Encoding to send."""
_GZIP = 31


class TooLarge(Exception):
    """The body is larger than the limit, packed or unpacked."""


class Unreadable(Exception):
    """The body is compressed in another way than was asked for, or its compression is broken or cut off."""


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """The whole body, at most `limit` bytes of it in memory. Raises TooLarge, Unreadable, and what httpx raises."""
    import zlib

    declared = response.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise TooLarge
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "x-gzip", ""):
        raise Unreadable
    unpack = zlib.decompressobj(wbits=_GZIP) if packing.endswith("gzip") else None
    body, seen = bytearray(), 0
    async for piece in response.aiter_raw():
        seen += len(piece)
        if unpack is not None:
            try:
                piece = unpack.decompress(piece, limit + 1 - len(body))
            except zlib.error:
                raise Unreadable from None
            if unpack.unused_data:
                raise Unreadable
        body += piece
        if len(body) > limit or seen > limit:
            raise TooLarge
    if unpack is not None and seen and not unpack.eof:
        raise Unreadable
    return bytes(body)
