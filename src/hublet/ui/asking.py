"""How the page's process asks the daemon: over its admin socket, each question with a limit of time and of size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from hublet.core.errors import AdminError, HubletError, NotRunning

PATIENCE = 30.0
_SILENCE = 90.0
"""Seconds without a byte after which a stream is dead: the daemon gives a sign of life every 30."""
_LARGEST = 64 * 1024 * 1024
_LINE = 64 * 1024


class Daemon:
    """The daemon behind an admin socket, there or not. Raises NotRunning when it can't be reached or breaks off, and
    AdminError with its own sentence when it refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def call(self, method: str, target: str, value: object = None, *, patience: float = PATIENCE) -> Any:
        """One question, one JSON object. `target` is quoted already; `patience` is for the whole answer, in seconds."""
        try:
            async with asyncio.timeout(patience):
                reader, writer, length = await self._ask(method, target, value)
                try:
                    body = await _whole(reader, length)
                finally:
                    await _close(writer)
        except TimeoutError:
            raise NotRunning("the daemon does not answer in time", hint="look at its log") from None
        except (OSError, EOFError, ValueError) as error:
            raise _unreachable(error) from None
        return _object(body)

    async def lines(
        self, method: str, target: str, *, patience: float = _SILENCE
    ) -> AsyncGenerator[dict[str, Any], None]:
        """One question, an object for each line as it comes; `patience` is for each piece, in seconds."""
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
                        yield _object(line)
            finally:
                await _close(writer)
        except TimeoutError:
            raise NotRunning("the daemon does not answer in time", hint="look at its log") from None
        except (OSError, EOFError, ValueError) as error:
            raise _unreachable(error) from None

    async def _ask(
        self, method: str, target: str, value: object
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int | None]:
        """The answer's body, still to be read, and its length (None: it comes in chunks)."""
        body = b"" if value is None else orjson.dumps(value)
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=_LINE)
        try:
            lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
            lines += [f"Content-Length: {len(body)}"] if body or method != "GET" else []
            writer.write("\r\n".join([*lines, "", ""]).encode("ascii") + body)
            await writer.drain()
            first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in rest)}
            status = int(first.split(" ")[1])
            length = None if fields.get("transfer-encoding") == "chunked" else int(fields["content-length"])
            if status != 200:
                raise _refused(_object(await _whole(reader, length)))
        except (KeyError, IndexError, asyncio.LimitOverrunError):
            await _close(writer)
            raise ValueError("no answer that can be read") from None
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
                raise ValueError("too large")
        return b"".join(pieces)
    if length > _LARGEST:
        raise ValueError("too large")
    return await reader.readexactly(length)


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    """One chunk (RFC 9112 section 7.1), empty at the end."""
    size = int(await reader.readuntil(b"\r\n"), 16)
    if size > _LARGEST:
        raise ValueError("too large")
    return (await reader.readexactly(size + 2))[:-2]


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def _object(text: bytes) -> dict[str, Any]:
    value = orjson.loads(text)
    if not isinstance(value, dict):
        raise AdminError("the daemon's answer can't be read", hint="is another version of hublet running?")
    return value


def _refused(value: dict[str, Any]) -> HubletError:
    message, hint, code = value.get("message"), value.get("hint"), value.get("exit_code")
    return AdminError(
        str(message or "the daemon refused"), hint=str(hint or ""), exit_code=code if isinstance(code, int) else 10
    )


def _unreachable(error: Exception) -> NotRunning:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        return NotRunning("hublet is not running", hint="`hublet service start` or `hublet run` starts it")
    return NotRunning(f"the daemon broke off the answer ({type(error).__name__})", hint="look at its log")
