"""The page's process as a client of the daemon's admin socket, on an event loop; with limits of time and size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hublet.reaching import PATIENCE, Broken, chunk_size, head_of, object_of, refused, request_of, unreachable

_SILENCE = 90.0
"""Seconds without a byte after which a stream is dead: the daemon gives a sign of life every 30."""
_LARGEST = 64 * 1024 * 1024
_LINE = 64 * 1024


class Daemon:
    """The daemon behind an admin socket. Methods raise NotRunning when it can't be reached or breaks off the answer,
    and AdminError with the daemon's own message when it refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def call(self, method: str, target: str, value: object = None, *, patience: float = PATIENCE) -> Any:
        """One request, answered by one JSON object. `target` is quoted already. `patience` is how many seconds the
        whole answer may take."""
        try:
            async with asyncio.timeout(patience):
                reader, writer, length = await self._ask(method, target, value)
                try:
                    body = await _whole(reader, length)
                finally:
                    await _close(writer)
        except (OSError, EOFError, Broken) as error:
            raise unreachable(error) from None
        return object_of(body)

    async def lines(
        self, method: str, target: str, *, patience: float = _SILENCE
    ) -> AsyncGenerator[dict[str, Any], None]:
        """One request, answered by JSON objects, one on each line, as they come. `patience` is how many seconds may
        pass between two pieces."""
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer, _ = await self._ask(method, target, None)
            try:
                rest = b""
                while True:
                    async with asyncio.timeout(patience):
                        piece = await _chunk(reader)
                    if not piece:
                        return
                    *whole, rest = (rest + piece).split(b"\n")
                    for line in whole:
                        yield object_of(line)
            finally:
                await _close(writer)
        except (OSError, EOFError, Broken) as error:
            raise unreachable(error) from None

    async def _ask(
        self, method: str, target: str, value: object
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int | None]:
        """Send a request and read the head of a 200. The body is still to be read from the reader; its length is None
        when it comes in chunks."""
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=_LINE)
        try:
            writer.write(request_of(method, target, value))
            await writer.drain()
            status, length = head_of(await _up_to(reader, b"\r\n\r\n"))
            if status != 200:
                raise refused(object_of(await _whole(reader, length)))
        except BaseException:
            await _close(writer)
            raise
        return reader, writer, length


async def _whole(reader: asyncio.StreamReader, length: int | None) -> bytes:
    if length is None:
        pieces = []
        while piece := await _chunk(reader):
            pieces.append(piece)
            if sum(map(len, pieces)) > _LARGEST:
                raise Broken
        return b"".join(pieces)
    if length > _LARGEST:
        raise Broken
    return await reader.readexactly(length)


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk (RFC 9112 section 7.1), empty at the end."""
    size = chunk_size(await _up_to(reader, b"\r\n"))
    if size > _LARGEST:
        raise Broken
    return (await reader.readexactly(size + 2))[:-2]


async def _up_to(reader: asyncio.StreamReader, end: bytes) -> bytes:
    try:
        return await reader.readuntil(end)
    except asyncio.LimitOverrunError:
        raise Broken from None


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
