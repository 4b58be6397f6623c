"""A real message bus for tests, and stand-ins for services on it."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from tests.running import eventually

from hublet.host.desktop import NETWORK_MANAGER, NETWORKD, UPOWER
from hublet.host.desktop import Service as Kind

# As on the system's own bus, any user may connect and hear all signals.
_CONFIG = """<busconfig>
  <type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
_PROPERTIES = "org.freedesktop.DBus.Properties"


class StandIn:
    """A service: owns its name, gives its properties, and counts how often it is asked. With `mute` it never
    answers."""

    def __init__(self, address: str, kind: Kind, properties: dict[str, tuple[str, Any]], *, mute: bool = False) -> None:
        self.kind, self.properties, self.mute = kind, properties, mute
        self.asked = 0
        self._sending = threading.Lock()
        self._connection = open_dbus_connection(bus=address)
        reply = self._connection.send_and_get_reply(message_bus.RequestName(kind.name), timeout=10)
        assert reply.body == (1,), f"{kind.name} is taken"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def set(self, **values: tuple[str, Any]) -> None:
        """Change properties and send the signal for it, as the real service does."""
        self.properties |= values
        path = DBusAddress(self.kind.path, None, _PROPERTIES)
        self._send(new_signal(path, "PropertiesChanged", "sa{sv}as", (self.kind.interface, values, [])))

    def set_state(self, *states: int) -> None:
        """Send NetworkManager's StateChanged for each state, one right after the other."""
        for state in states:
            self.properties["State"] = ("u", state)
            path = DBusAddress(self.kind.path, None, self.kind.interface)
            self._send(new_signal(path, "StateChanged", "u", (state,)))
            self.set(State=("u", state))

    def say(self, member: str, signature: str, body: tuple[Any, ...], *, to: str | None = None) -> None:
        """Send a signal of its interface. With `to` only that connection gets it, whatever it has subscribed to."""
        signal = new_signal(DBusAddress(self.kind.path, None, self.kind.interface), member, signature, body)
        if to is not None:
            from jeepney import HeaderFields

            signal.header.fields[HeaderFields.destination] = to
        self._send(signal)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(10)
        self._connection.close()

    def _send(self, message: Any) -> None:
        with self._sending:
            self._connection.send(message)

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                message = self._connection.receive(timeout=0.05)
            except TimeoutError:
                continue
            except (OSError, EOFError):
                return  # the bus is gone
            if message.header.message_type is not MessageType.method_call:
                continue
            self.asked += 1
            if self.mute:
                continue
            if message.body == (self.kind.interface,):
                self._send(new_method_return(message, "a{sv}", (self.properties,)))
            else:
                self._send(new_error(message, "org.freedesktop.DBus.Error.UnknownMethod"))


@dataclass
class SystemBus:
    """A bus at `address`, which can be stopped and started again."""

    folder: Path
    process: subprocess.Popen[str] | None = None
    services: list[StandIn] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "system_bus_socket"

    @property
    def address(self) -> str:
        return f"unix:path={self.socket}"

    def start(self) -> None:
        config = self.folder / "bus.xml"
        config.write_text(_CONFIG.format(socket=self.socket))
        self.socket.unlink(missing_ok=True)
        words = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("unix:path="), "the bus did not start"

    def stop(self) -> None:
        for service in self.services:
            service.stop()
        self.services.clear()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def own(self, kind: Kind, *, mute: bool = False, **properties: tuple[str, Any]) -> StandIn:
        service = StandIn(self.address, kind, dict(properties), mute=mute)
        self.services.append(service)
        return service

    def network_manager(self, state: int = 70, *, metered: int = 4, mute: bool = False) -> StandIn:
        values = {"State": ("u", state), "Connectivity": ("u", 4 if state == 70 else 1), "Metered": ("u", metered)}
        return self.own(NETWORK_MANAGER, mute=mute, **values)

    def networkd(self, state: str = "routable") -> StandIn:
        return self.own(NETWORKD, OperationalState=("s", state))

    def upower(self, *, on_battery: bool) -> StandIn:
        return self.own(UPOWER, OnBattery=("b", on_battery), LidIsClosed=("b", False))

    def listeners(self) -> int:
        """How many connections there are, without the services and the one that asks for this."""
        with contextlib.closing(open_dbus_connection(bus=self.address)) as connection:
            (names,) = connection.send_and_get_reply(message_bus.ListNames(), timeout=10).body
        return sum(name.startswith(":") for name in names) - 1 - len(self.services)

    def connected(self) -> None:
        """Wait until somebody is connected."""
        eventually(lambda: self.listeners() > 0)


@contextmanager
def system_bus(folder: Path) -> Iterator[SystemBus]:
    """A running bus, with nobody on it."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    bus = SystemBus(folder)
    bus.start()
    try:
        yield bus
    finally:
        bus.stop()
