"""The machine's network and power, as its services tell of them. Nothing is polled: changes are heard as signals.

    NetworkManager   State, Connectivity, Metered     by D-Bus, where there is a system bus and the service is on it
    systemd-networkd OperationalState                 by D-Bus, where there is no NetworkManager
    UPower           OnBattery                        by D-Bus
    the kernel       default routes (host/routes)     where neither of the first two is there
    /sys             power supplies                   where there is no UPower; read when a pass is scheduled

Services that are not running are not started. A bus that ends, hangs or sends nonsense is logged once and tried again
with the heartbeat, less and less often. Until then the kernel tells of routes and power, and no network is metered.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hublet.core.pace import Surroundings
from hublet.host.bus import Bus, BusError, bus_places, system_bus
from hublet.host.routes import Routes

log = logging.getLogger("hublet.host")

POWER_SUPPLIES = Path("/sys/class/power_supply")

_FIRST_RETRY, _LONGEST_RETRY = 30.0, 900.0
_HESITATION = 2.0
"""How many seconds a network that leads somewhere has to lead everywhere; then it counts as back all the same."""

_NOWHERE, _SOMEWHERE, _EVERYWHERE = 0, 1, 2


class Service(NamedTuple):
    name: str
    path: str
    interface: str


NETWORK_MANAGER = Service(
    "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager", "org.freedesktop.NetworkManager"
)
NETWORKD = Service("org.freedesktop.network1", "/org/freedesktop/network1", "org.freedesktop.network1.Manager")
UPOWER = Service("org.freedesktop.UPower", "/org/freedesktop/UPower", "org.freedesktop.UPower")
_SERVICES = {service.name: service for service in (NETWORK_MANAGER, NETWORKD, UPOWER)}


class Desktop:
    """Transitions: (made) → start → (connected ⇄ away)* → close; on one event loop.

    `changed` is called when the surroundings have changed, `back` when there is a network (or a better one) again.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        changed: Callable[[], None],
        back: Callable[[], None],
        power: Path = POWER_SUPPLIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._places, self._changed, self._back = bus_places(environment), changed, back
        self._power, self._clock = power, clock
        self._bus: Bus | None = None
        self._owners: dict[str, str] = {}
        self._unread: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._connecting = self._complained = False
        self._retry, self._not_before = _FIRST_RETRY, float("-inf")
        self._routes: Routes | None = None
        self._hesitating: asyncio.TimerHandle | None = None
        self._reach: int | None = None
        self._metered = False
        self._battery: bool | None = None
        """What UPower says; None when it says nothing, so that /sys is read."""

    def surroundings(self) -> Surroundings:
        """Power and network as they are now."""
        return Surroundings(self._battery if self._battery is not None else on_battery(self._power), self._metered)

    def start(self) -> None:
        """Begin to listen, without waiting for anybody."""
        self.look()

    def look(self) -> None:
        """Try the bus again if there is no connection to it. Called with each heartbeat."""
        if sys.platform != "linux" or self._connecting or self._bus is not None or self._clock() < self._not_before:
            return
        path = system_bus(self._places)
        if path is None:
            self._choose()
            return
        self._connecting = True
        self._keep(self._connect(path))

    async def close(self) -> None:
        self._not_before = float("inf")
        if self._hesitating is not None:
            self._hesitating.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._routes is not None:
            self._routes.close()
        if self._bus is not None:
            await self._bus.close()
            self._bus = None

    # The bus

    async def _connect(self, path: str) -> None:
        bus: Bus | None = None
        try:
            bus = await Bus.connect(path, self._heard, self._lost)
            for service in _SERVICES.values():
                await bus.match(sender="org.freedesktop.DBus", member="NameOwnerChanged", arg0=service.name)
                await bus.match(
                    sender=service.name, path=service.path, member="PropertiesChanged", arg0=service.interface
                )
            await bus.match(sender=NETWORK_MANAGER.name, path=NETWORK_MANAGER.path, member="StateChanged")
            self._bus = bus
            for name in _SERVICES:
                if (owner := await bus.owner(name)) is not None:
                    self._owners[name] = owner
        except (BusError, ValueError) as error:
            if bus is not None:
                await bus.close()
            self._away(str(error))
            return
        finally:
            self._connecting = False
        self._choose()
        self._read(*self._owners)

    def _lost(self) -> None:
        if self._bus is not None:  # while connecting, `_connect` gets the error
            self._away("it has ended")

    def _away(self, why: str) -> None:
        self._bus = None
        self._not_before = self._clock() + self._retry
        self._retry = min(self._retry * 2, _LONGEST_RETRY)
        self._complain(f"the system bus can't be used ({why}); it is tried again now and then")
        self._owners.clear()
        self._choose()
        self._know(battery=None, metered=False)

    def _complain(self, text: str) -> None:
        if not self._complained:
            log.warning("%s", text)
        self._complained = True

    def _heard(self, sender: str, member: str, body: tuple[Any, ...]) -> None:
        """Take a signal. Only the owner of a service's name counts, and the properties are read from the service: a
        signal of somebody else changes nothing."""
        match sender, member, body:
            case "org.freedesktop.DBus", "NameOwnerChanged", (str(name), str(), str(owner)) if name in _SERVICES:
                if owner:
                    self._owners[name] = owner
                    self._read(name)
                else:
                    self._owners.pop(name, None)
                    self._forget(name)
                self._choose()
                return
        for name in [name for name, owner in self._owners.items() if owner == sender]:
            if name == NETWORK_MANAGER.name and member == "StateChanged" and body and isinstance(body[0], int):
                # The state may be another by the time that we read it, and a short loss of the network counts too.
                self._reaches(_reach_of_state(body[0]))
            self._read(name)

    def _read(self, *names: str) -> None:
        """Read the properties of these services, one at a time, however many signals come."""
        self._unread |= dict.fromkeys(names)
        if self._unread and self._reading is None:
            self._reading = self._keep(self._read_all())

    async def _read_all(self) -> None:
        try:
            while self._unread and self._bus is not None:
                name = next(iter(self._unread))
                del self._unread[name]
                service = _SERVICES[name]
                try:
                    (found,) = await self._bus.call(
                        name, service.path, "org.freedesktop.DBus.Properties", "GetAll", "s", service.interface
                    )
                    properties = {key: value for key, (_, value) in found.items()}
                except (BusError, ValueError, TypeError, AttributeError) as error:
                    self._complain(f"{name} can't be asked how it is ({error})")
                    self._forget(name)
                else:
                    self._take(service, properties)
        finally:
            self._reading = None

    def _take(self, service: Service, properties: Mapping[str, object]) -> None:
        if service is UPOWER:
            battery = properties.get("OnBattery")
            self._know(battery=battery if isinstance(battery, bool) else None)
        elif service is NETWORK_MANAGER:
            self._know(metered=properties.get("Metered") in (1, 3))  # NMMetered: yes, and guessed yes
            reach = _reach_of_state(properties.get("State"))
            # NMConnectivityState: none, portal, limited. The other values are unknown and full.
            limited = properties.get("Connectivity") in (1, 2, 3)
            self._reaches(min(reach, _SOMEWHERE) if reach is not None and limited else reach)
        elif NETWORK_MANAGER.name not in self._owners:
            state = properties.get("OperationalState")
            known = {"routable": _EVERYWHERE, "degraded": _SOMEWHERE}
            self._reaches(known.get(state, _NOWHERE) if isinstance(state, str) else None)

    def _forget(self, name: str) -> None:
        """A service has gone. What was last known of the network is kept, to be compared with what is heard next."""
        if name == UPOWER.name:
            self._know(battery=None)
        elif name == NETWORK_MANAGER.name:
            self._know(metered=False)

    # What is known

    def _know(self, **values: bool | None) -> None:
        before = self.surroundings()
        self._battery = values.get("battery", self._battery)
        self._metered = bool(values.get("metered", self._metered))
        if self.surroundings() != before:
            self._changed()

    def _choose(self) -> None:
        """Hear of routes from the kernel exactly while no service tells of the network."""
        told = {NETWORK_MANAGER.name, NETWORKD.name} & self._owners.keys()
        if told and self._routes is not None:
            self._routes.close()
            self._routes = None
        elif not told and self._routes is None:
            self._routes = Routes(lambda out: self._reaches(_EVERYWHERE if out else _NOWHERE))
            self._routes.start()

    def _reaches(self, reach: int | None) -> None:
        if reach is None:
            return
        before, self._reach = self._reach, reach
        if reach != _SOMEWHERE and self._hesitating is not None:
            self._hesitating.cancel()
            self._hesitating = None
        if before is None or reach <= before:
            return
        if reach == _EVERYWHERE:
            self._back()
        else:
            self._hesitating = asyncio.get_running_loop().call_later(_HESITATION, self._back)

    def _keep(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _reach_of_state(state: object) -> int | None:
    """The reach that a value of NetworkManager's NMState means: 70 is connected everywhere, 50 and 60 are connected to
    less, lower ones are connecting or disconnected. None when it is unknown."""
    if not isinstance(state, int) or state <= 0:
        return None
    return _EVERYWHERE if state >= 70 else _SOMEWHERE if state >= 50 else _NOWHERE


def on_battery(supplies: Path = POWER_SUPPLIES) -> bool:
    """Whether the kernel's power supplies say that the machine runs on its battery (sysfs-class-power)."""
    discharging = False
    try:
        found = sorted(supplies.iterdir())
    except OSError:
        return False
    for supply in found:
        kind = _word(supply / "type")
        if kind == "Mains" and _word(supply / "online") == "1":
            return False
        # Batteries of scope Device are those of a mouse and the like.
        if kind == "Battery" and _word(supply / "scope") != "Device":
            discharging = discharging or _word(supply / "status") == "Discharging"
    return discharging


def _word(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
