"""What NetworkManager, networkd and UPower say is heard, on a real bus with stand-ins for the services."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.host.hearing import listening
from tests.host.system_bus import SystemBus, system_bus
from tests.running import missing

from hublet.core.pace import Surroundings

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="D-Bus is Linux's"),
    pytest.mark.skipif(bool(why := missing("dbus-daemon")), reason=why or "there"),
]


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SystemBus]:
    with system_bus(tmp_path / "bus") as running:
        yield running


def test_what_is_so_at_the_start_is_known(bus: SystemBus) -> None:
    """Battery and metered connection are known; a network that was there from the start is not "back"."""
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
    """None is started by hublet. When UPower goes, what it had said is forgotten."""

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
    """It is found again with the heartbeat; a network that was lost in between is noticed."""
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


def test_a_service_that_hangs_is_unknown_and_the_others_are_heard(
    bus: SystemBus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A NetworkManager that does not answer does not keep hublet from hearing UPower."""
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
