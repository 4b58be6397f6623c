"""A connection to a D-Bus bus on asyncio, for calling methods and hearing signals. jeepney packs and unpacks messages.

A bus that is not there, hangs, sends nonsense or ends becomes a BusError, within a time limit.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import count
from stat import S_ISSOCK
from typing import Any

_PATIENCE = 5.0
_LARGEST = 1024 * 1024
_USUAL = "unix:path=/run/dbus/system_bus_socket"
_DBUS = "org.freedesktop.DBus"

Heard = Callable[[str, str, tuple[Any, ...]], None]
"""Is called with a signal's sender (the unique name that the bus gave the connection, which no program can choose), its
member and its body."""


class BusError(Exception):
    """The bus gave no answer. The text says why."""


def bus_places(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The paths where the system bus's socket may be, in order. An abstract socket's begins with a zero byte."""
    places = []
    for address in (environment.get("DBUS_SYSTEM_BUS_ADDRESS") or _USUAL).split(";"):
        transport, _, words = address.partition(":")
        values = dict(word.partition("=")[::2] for word in words.split(","))
        if transport == "unix" and "abstract" in values:
            places.append("\0" + values["abstract"])
        elif transport == "unix" and "path" in values:
            places.append(values["path"])
    return tuple(places)


def system_bus(places: Iterable[str]) -> str | None:
    """The first place where there is a socket; None when there is none."""
    return next(filter(_is_socket, places), None)


def _is_socket(place: str) -> bool:
    if place.startswith("\0"):
        return True
    try:
        return S_ISSOCK(os.stat(place).st_mode)  # noqa: PTH116  called at each heartbeat, and Path is slower
    except OSError:
        return False


class Bus:
    """Transitions: connect → (call | match)* → close, or → gone when the bus ends the connection; on one event loop.

    `heard` is called with each signal, `gone` once when the connection has ended by itself.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        heard: Heard,
        gone: Callable[[], None],
        patience: float,
    ) -> None:
        from jeepney import Parser

        self._reader, self._writer = reader, writer
        self._heard, self._gone, self._patience = heard, gone, patience
        self._parser = Parser()
        self._serials = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._listening: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, path: str, heard: Heard, gone: Callable[[], None], *, patience: float = _PATIENCE) -> Bus:
        """Connect to the bus at `path`. Raises BusError, also when jeepney is not installed."""
        try:
            from jeepney.auth import BEGIN, Authenticator
        except ImportError:
            raise BusError("the Python package jeepney is not installed") from None
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(patience):
                reader, writer = await asyncio.open_unix_connection(path)
                dialogue = Authenticator()
                for words in dialogue:
                    writer.write(words)
                    if not (said := await reader.read(1024)):
                        raise BusError("it closed the connection")
                    dialogue.feed(said)
                writer.write(BEGIN)
            bus = cls(reader, writer, heard, gone, patience)
            bus._listening = asyncio.create_task(bus._listen(), name="bus")
        except BaseException as error:
            if writer is not None:
                writer.close()
            if isinstance(error, asyncio.CancelledError | BusError):
                raise
            raise BusError(_reason(error)) from error
        try:
            await bus.call(_DBUS, "/org/freedesktop/DBus", _DBUS, "Hello")
        except BaseException:
            await bus.close()
            raise
        return bus

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        self._end()
        with suppress(Exception):
            await self._writer.wait_closed()

    async def call(
        self, service: str, path: str, interface: str, member: str, signature: str = "", *values: object
    ) -> tuple[Any, ...]:
        """Call a method and return the body of its answer. The bus starts no service for it. Raises BusError."""
        from jeepney import DBusAddress, MessageFlag, MessageType, new_method_call

        message = new_method_call(DBusAddress(path, service, interface), member, signature or None, values)
        message.header.flags = MessageFlag.no_auto_start
        serial = next(self._serials)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[serial] = answer
        try:
            async with asyncio.timeout(self._patience):
                self._writer.write(message.serialise(serial))
                await self._writer.drain()
                reply = await answer
        except (TimeoutError, OSError) as error:
            raise BusError(_reason(error)) from error
        finally:
            self._waiting.pop(serial, None)
        if reply.header.message_type is not MessageType.method_return:
            raise BusError("it refused")
        return tuple(reply.body)

    async def match(self, **rule: str) -> None:
        """Hear the signals that match this rule from now on. Raises BusError."""
        text = ",".join(f"{name}='{value}'" for name, value in {"type": "signal", **rule}.items())
        await self.call(_DBUS, "/org/freedesktop/DBus", _DBUS, "AddMatch", "s", text)

    async def owner(self, service: str) -> str | None:
        """The unique name of the connection that owns `service` now; None when none does. Raises BusError when the bus
        itself does not answer."""
        (there,) = await self.call(_DBUS, "/org/freedesktop/DBus", _DBUS, "NameHasOwner", "s", service)
        if there is not True:
            return None
        with suppress(BusError):  # the service may have gone in between
            (owner,) = await self.call(_DBUS, "/org/freedesktop/DBus", _DBUS, "GetNameOwner", "s", service)
            return owner if isinstance(owner, str) else None
        return None

    # Within

    async def _listen(self) -> None:
        try:
            while data := await self._reader.read(4096):
                self._parser.add_data(data)
                while (message := self._parser.get_next_message()) is not None:
                    self._take(message)
                # The first 16 bytes of a message tell how long it is.
                if (self._parser.next_msg_size or 0) > _LARGEST:
                    break
        except asyncio.CancelledError:
            raise
        except Exception:  # noqa: BLE001, S110  nonsense may raise anything in the parser, and ends the connection
            pass
        self._end()
        self._gone()

    def _take(self, message: Any) -> None:
        from jeepney import HeaderFields, MessageType

        fields, body = message.header.fields, tuple(message.body)
        if message.header.message_type is MessageType.signal:
            self._heard(str(fields.get(HeaderFields.sender)), str(fields.get(HeaderFields.member)), body)
        elif (answer := self._waiting.get(fields.get(HeaderFields.reply_serial))) is not None and not answer.done():
            answer.set_result(message)

    def _end(self) -> None:
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BusError("the bus is gone"))


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
