"""What NetworkManager, networkd, UPower and the kernel say is heard: on a real bus, by stand-ins of the services."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.host.system_bus import SystemBus, system_bus
from tests.running import missing

from hublet.core.pace import Surroundings
from hublet.host.bus import bus_places
from hublet.host.bus import system_bus as bus_among
from hublet.host.desktop import Desktop, on_battery
from hublet.host.routes import leads_out

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="D-Bus and netlink are Linux's"),
    pytest.mark.skipif(bool(why := missing("dbus-daemon")), reason=why or "there"),
]


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SystemBus]:
    with system_bus(tmp_path / "bus") as running:
        yield running


@dataclass
class Heard:
    """A Desktop that listens, and what it has said so far; `now` is its clock's."""

    desktop: Desktop
    changes: int = 0
    backs: int = 0
    now: float = 1000.0

    @property
    def look(self) -> Surroundings:
        return self.desktop.surroundings()

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not check():
                await asyncio.sleep(0.01)

    async def known(self) -> None:
        """Until it is connected and has read all that there is."""
        await self.until(lambda: not self.desktop._connecting and not self.desktop._unread)
        await self.until(lambda: self.desktop._reading is None)


@asynccontextmanager
async def listening(address: str, power: Path = Path("/nonexistent")) -> AsyncIterator[Heard]:
    def changed() -> None:
        heard.changes += 1

    def back() -> None:
        heard.backs += 1

    desktop = Desktop(
        {"DBUS_SYSTEM_BUS_ADDRESS": address}, changed=changed, back=back, power=power, clock=lambda: heard.now
    )
    heard = Heard(desktop)
    desktop.start()
    try:
        await heard.known()
        yield heard
    finally:
        await desktop.close()


def test_what_is_so_at_the_start_is_known(bus: SystemBus) -> None:
    """On battery and metered; a network that was there all along is not back."""
    bus.network_manager(metered=1)
    bus.upower(on_battery=True)

    async def life() -> None:
        async with listening(bus.address) as heard:
            await heard.until(lambda: heard.look == Surroundings(on_battery=True, metered=True))
            assert heard.backs == 0

    asyncio.run(life())


@pytest.mark.parametrize(("value", "metered"), [(0, False), (1, True), (2, False), (3, True), (4, False)])
def test_a_metered_connection_is_one_that_is_or_seems_to_be(bus: SystemBus, value: int, metered: bool) -> None:
    """NMMetered: unknown, yes, no, guessed yes, guessed no."""
    manager = bus.network_manager(metered=2 if metered else 1)

    async def life() -> None:
        async with listening(bus.address) as heard:
            await heard.until(lambda: heard.look.metered is not metered)
            await asyncio.to_thread(manager.set, Metered=("u", value))
            await heard.until(lambda: heard.look.metered is metered)

    asyncio.run(life())


def test_the_plug_is_pulled_and_put_back(bus: SystemBus) -> None:
    """Each is told once; other properties of the service change nothing."""
    power = bus.upower(on_battery=False)

    async def life() -> None:
        async with listening(bus.address) as heard:
            await asyncio.to_thread(power.set, OnBattery=("b", True))
            await heard.until(lambda: heard.look.on_battery)
            await asyncio.to_thread(power.set, LidIsClosed=("b", True))
            await heard.until(lambda: power.asked == 3)
            await asyncio.to_thread(power.set, OnBattery=("b", False))
            await heard.until(lambda: not heard.look.on_battery)
            assert heard.changes == 2

    asyncio.run(life())


def test_the_network_is_back_once_for_all_that_is_said_of_it(bus: SystemBus) -> None:
    """Down, then all the states on the way up, one right after the other."""
    manager = bus.network_manager()

    async def life() -> None:
        async with listening(bus.address) as heard:
            await asyncio.to_thread(manager.set_state, 20)
            await asyncio.to_thread(manager.set_state, 40, 50, 60, 70)
            await heard.until(lambda: heard.backs > 0)
            await heard.known()
            assert heard.backs == 1
            await asyncio.to_thread(manager.set, ActiveConnections=("ao", []))
            await heard.known()
            assert heard.backs == 1

    asyncio.run(life())


def test_a_portal_that_is_passed_is_a_network_that_is_back(bus: SystemBus) -> None:
    """From a connection that leads to a login page only to one that leads everywhere."""
    manager = bus.network_manager(60)

    async def life() -> None:
        async with listening(bus.address) as heard:
            await asyncio.to_thread(manager.set, Connectivity=("u", 4), State=("u", 70))
            await heard.until(lambda: heard.backs == 1)

    asyncio.run(life())


def test_networkd_tells_where_there_is_no_network_manager(bus: SystemBus) -> None:
    networkd = bus.networkd("no-carrier")

    async def life() -> None:
        async with listening(bus.address) as heard:
            assert heard.desktop._routes is None, "the kernel need not tell as well"
            await asyncio.to_thread(networkd.set, OperationalState=("s", "carrier"))
            await asyncio.to_thread(networkd.set, OperationalState=("s", "routable"))
            await heard.until(lambda: heard.backs == 1)

    asyncio.run(life())


def test_services_that_come_later_go_and_come_again_are_heard(bus: SystemBus) -> None:
    """None is started by us; when one goes, what it had said of the power goes with it."""

    async def life() -> None:
        async with listening(bus.address) as heard:
            assert heard.look == Surroundings()
            power = await asyncio.to_thread(bus.upower, on_battery=True)
            await heard.until(lambda: heard.look.on_battery)
            await asyncio.to_thread(power.stop)
            bus.services.remove(power)
            await heard.until(lambda: not heard.look.on_battery)
            await asyncio.to_thread(bus.upower, on_battery=True)
            await heard.until(lambda: heard.look.on_battery)

    asyncio.run(life())


def test_a_stranger_on_the_bus_changes_nothing(bus: SystemBus) -> None:
    """A signal sent to us alone, by somebody who does not own the service's name."""
    bus.network_manager(20)
    stranger = bus.networkd()

    async def life() -> None:
        async with listening(bus.address) as heard:
            us = [f":1.{n}" for n in range(12)]
            for name in us:
                await asyncio.to_thread(stranger.say, "StateChanged", "u", (70,), to=name)
            power = await asyncio.to_thread(bus.upower, on_battery=True)
            await heard.until(lambda: heard.look.on_battery)
            assert heard.backs == 0
            assert power.asked == 1

    asyncio.run(life())


def test_answers_that_make_no_sense_are_unknown(bus: SystemBus) -> None:
    """Another type than documented, a missing property, a value that nobody has heard of."""
    bus.own(
        bus.network_manager().kind._replace(name="org.freedesktop.UPower", interface="org.freedesktop.UPower"),
        OnBattery=("s", "yes"),
    )
    manager = bus.services[0]

    async def life() -> None:
        async with listening(bus.address) as heard:
            await asyncio.to_thread(manager.set, State=("s", "x"), Metered=("as", ["1"]), Connectivity=("d", 0.5))
            await asyncio.to_thread(manager.say, "StateChanged", "s", ("70",))
            await heard.known()
            assert heard.look == Surroundings()
            assert heard.backs == 0

    asyncio.run(life())


def test_a_bus_that_ends_is_said_once_and_found_again(bus: SystemBus, caplog: pytest.LogCaptureFixture) -> None:
    """With the heartbeat, not by itself; a network that was lost in between is noticed."""
    bus.network_manager(20)
    bus.upower(on_battery=True)

    async def life() -> None:
        async with listening(bus.address) as heard:
            await heard.until(lambda: heard.look.on_battery)
            for _ in range(2):
                await asyncio.to_thread(bus.stop)
                await heard.until(lambda: heard.desktop._bus is None)
                assert heard.look == Surroundings()
                heard.desktop.look()
                assert not heard.desktop._connecting, "it is too early"
                heard.now += 3600
                await asyncio.to_thread(bus.start)
                await asyncio.to_thread(bus.network_manager, 70)
                await asyncio.to_thread(bus.upower, on_battery=True)
                heard.desktop.look()
                await heard.until(lambda: heard.look.on_battery)
            await heard.known()
            assert heard.backs <= 1

    asyncio.run(life())
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1


@contextlib.contextmanager
def bad_bus(path: Path, behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Something that listens where the bus should, and does to each who comes what a test has it do."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        held = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    visitor, _ = sock.accept()
                    held.append(visitor)
                    with contextlib.suppress(OSError):
                        behave(visitor)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"unix:path={path}"
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for visitor in held:
                visitor.close()


def hang(_: socket.socket) -> None:
    """Says nothing, ever."""


def close(visitor: socket.socket) -> None:
    visitor.close()


def refuse(visitor: socket.socket) -> None:
    visitor.recv(1024)
    visitor.sendall(b"REJECTED EXTERNAL\r\n" * 3)


def babble(visitor: socket.socket) -> None:
    """Lets us in, then talks nonsense."""
    visitor.recv(1024)
    visitor.sendall(b"OK 0123456789abcdef\r\n")
    visitor.recv(1024)
    visitor.sendall(b"AGREE_UNIX_FD\r\n")
    visitor.sendall(bytes(range(256)) * 20)


def promise(visitor: socket.socket) -> None:
    """Announces a message of 100 MB and begins to send it."""
    visitor.recv(1024)
    visitor.sendall(b"OK 0123456789abcdef\r\n")
    visitor.recv(1024)
    visitor.sendall(b"l\x04\x00\x01" + (100_000_000).to_bytes(4, "little") + bytes([1, 0, 0, 0, 8, 0, 0, 0]))
    for _ in range(3):
        visitor.sendall(bytes(1_000_000))


@pytest.mark.parametrize("behave", [hang, close, refuse, babble, promise])
def test_a_bus_that_is_none_is_survived_and_said_once(
    tmp_path: Path,
    behave: Callable[[socket.socket], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is tried again with ever longer pauses, and the kernel tells of the network instead."""
    monkeypatch.setattr("hublet.host.bus.Bus.connect.__func__.__kwdefaults__", {"patience": 0.2}, raising=False)

    async def life(address: str) -> None:
        async with listening(address) as heard:
            assert heard.desktop._bus is None
            assert heard.desktop._routes is not None
            tries = 1
            for _ in range(120):
                heard.now += 30
                heard.desktop.look()
                if heard.desktop._connecting:
                    tries += 1
                    await heard.known()
            assert 5 <= tries <= 9
            assert heard.look == Surroundings()

    with bad_bus(tmp_path / "bus", behave) as address:
        asyncio.run(life(address))
    # Only one that says nothing is waited for; nonsense, and more than anybody should have to keep, end it at once.
    assert ("it does not answer" in caplog.text) is (behave is hang)
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1


def test_a_service_that_hangs_is_unknown_and_the_others_are_heard(
    bus: SystemBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stopped NetworkManager does not keep us from hearing of the plug."""
    monkeypatch.setattr("hublet.host.bus.Bus.connect.__func__.__kwdefaults__", {"patience": 0.5}, raising=False)
    bus.network_manager(mute=True, metered=1)
    bus.upower(on_battery=True)

    async def life() -> None:
        async with listening(bus.address) as heard:
            await heard.until(lambda: heard.look.on_battery)
            assert not heard.look.metered

    asyncio.run(life())
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == [
        "org.freedesktop.NetworkManager can't be asked how it is (it does not answer)"
    ]


def test_the_bus_is_found_as_the_specification_has_it(tmp_path: Path) -> None:
    """The first address that can be used; a path with no socket is none."""

    def found(address: str) -> str | None:
        return bus_among(bus_places({"DBUS_SYSTEM_BUS_ADDRESS": address}))

    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        assert found(f"unix:path={path}") == str(path)
        assert found(f"tcp:host=x,port=1;unix:path={path},guid=0") == str(path)
    assert found("unix:abstract=x") == "\0x"
    for address in ("unix:path=/nonexistent", "tcp:host=x", "nonsense", "unix:", ";;"):
        assert found(address) is None


# Where nobody tells


def supply(folder: Path, name: str, **values: str) -> None:
    (folder / name).mkdir(parents=True)
    for key, value in values.items():
        (folder / name / key).write_text(f"{value}\n")


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ({}, False),
        ({"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery", "status": "Charging"}}, False),
        ({"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery", "status": "Discharging"}}, True),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, True),
        ({"BAT0": {"type": "Battery", "status": "Full"}}, False),
        ({"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery", "status": "Discharging"}}, False),
        ({"mouse": {"type": "Battery", "status": "Discharging", "scope": "Device"}}, False),
        ({"odd": {}}, False),
    ],
)
def test_the_kernels_power_supplies_tell_where_upower_does_not(
    tmp_path: Path, supplies: dict[str, dict[str, str]], expected: bool
) -> None:
    """Read when somebody wants to know; a mouse's battery is not the machine's."""
    for name, values in supplies.items():
        supply(tmp_path / "power", name, **values)
    assert on_battery(tmp_path / "power") is expected

    async def life() -> None:
        async with listening("unix:path=/nonexistent", tmp_path / "power") as heard:
            assert heard.look.on_battery is expected

    asyncio.run(life())


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("", False),
        ("eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", True),
        ("eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", False),
        ("garbage\n", False),
    ],
)
def test_a_default_route_leads_out(tmp_path: Path, route: str, expected: bool) -> None:
    (tmp_path / "route").write_text("Iface\tDestination\n" + route)
    unreachable = f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n"
    (tmp_path / "ipv6_route").write_text(unreachable)
    assert leads_out(tmp_path) is expected
    (tmp_path / "ipv6_route").write_text(
        f"{unreachable}{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 27}1 00000400 00000005 00000000 00450003     eth0\n"
    )
    assert leads_out(tmp_path)


_IN_A_NAMESPACE = """
import asyncio, subprocess
from hublet.host.routes import Routes

def ip(*words):
    subprocess.run(["ip", *words], check=True)

async def life():
    heard = asyncio.Queue()
    routes = Routes(heard.put_nowait)
    routes.start()

    async def until(wanted):
        async with asyncio.timeout(20):
            while await heard.get() is not wanted:
                pass

    await until(False)
    ip("link", "set", "lo", "up")
    ip("route", "add", "default", "dev", "lo")
    await until(True)
    ip("link", "set", "lo", "down")
    await until(False)
    routes.close()
    print("heard")

asyncio.run(life())
"""


def test_the_kernel_tells_of_routes_that_come_and_go() -> None:
    """In a network of its own: no way out, a default route, then its link goes down."""
    words = ["unshare", "--user", "--map-root-user", "--net"]
    if missing("unshare", "ip") or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    done = subprocess.run(
        [*words, sys.executable, "-c", _IN_A_NAMESPACE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "heard\n", done.stderr
