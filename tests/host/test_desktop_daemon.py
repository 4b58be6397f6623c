"""A real daemon hears of network and power on a real bus; the demo Hub counts how often it is asked."""

from __future__ import annotations

import pwd
import re
import signal
import sys
import time
from pathlib import Path

import pytest
from tests.daemon.asking import ask_all, status
from tests.host.system_bus import system_bus
from tests.running import Home, RunningDaemon, eventually, missing

from hublet.demo.data import DEMO_KEY
from hublet.demo.server import HubServer

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="D-Bus and netlink are Linux's"),
    pytest.mark.skipif(bool(why := missing("dbus-daemon")), reason=why or "there"),
]


@pytest.fixture
def home(tmp_path: Path, hub_server: HubServer) -> Home:
    """The home is of the user `nobody` when the tests run as root: a bus accepts only users that have a name."""
    home = Home(tmp_path / "home", uid=pwd.getpwnam("nobody").pw_uid)
    home.path.mkdir(mode=0o755)
    home.configure(hub_server.url, settings={"sync": {"on_battery": "slow"}})
    return home


def passes(hub: HubServer) -> int:
    """Each pass asks once which organizations there are."""
    return hub.hub.count("/ide/list-organizations")


def told(daemon: RunningDaemon) -> int:
    return daemon.log.read_text().count(" hublet: pass: ")


def wake_ups(pid: int) -> int:
    """How often its threads have been woken so far (proc(5): voluntary_ctxt_switches)."""
    said = "".join((task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir())
    return sum(map(int, re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", said, re.MULTILINE)))


def test_the_network_comes_back_and_the_hub_sees_one_pass(home: Home, hub_server: HubServer, tmp_path: Path) -> None:
    """There is one pass, at once, however many signals come. Battery power makes intervals longer. The bus may end."""
    with system_bus(tmp_path / "bus") as bus:
        manager = bus.network_manager(70)
        power = bus.upower(on_battery=False)
        with home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY, "DBUS_SYSTEM_BUS_ADDRESS": bus.address}) as daemon:
            eventually(lambda: told(daemon) == 1)
            bus.connected()
            eventually(lambda: manager.asked and power.asked)
            assert passes(hub_server) == 1

            manager.set_state(20)
            manager.set_state(40, 50, 60, 70)
            manager.set(Metered=("u", 2))
            eventually(lambda: told(daemon) == 2)
            manager.set_state(20)
            manager.set_state(40, 50, 60, 70)

            power.set(OnBattery=("b", True))
            eventually(lambda: status(home)["pace"] == "slow")
            said = home.hublet("status").stdout.decode()
            assert "next in 1 h" in said or "next in 2 h" in said, said  # a tenth of the interval is left to chance
            assert "(on battery)" in said
            assert told(daemon) == passes(hub_server) == 2

            daemon.home.hublet("status")  # the end of the bus has been dealt with
            bus.stop()
            eventually(lambda: status(home)["pace"] == "normal")
            assert [answer.status for answer in ask_all(daemon, [("GET", "/healthz", None)])] == [200]
            assert daemon.log.read_text().count("the system bus can't be used") == 1
            assert passes(hub_server) == 2
            assert daemon.stop(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_bus_on_which_nothing_changes_wakes_nobody(home: Home, hub_server: HubServer, tmp_path: Path) -> None:
    """The daemon is not woken by signals that it has not subscribed to, as of the battery's own object each half
    minute."""
    with system_bus(tmp_path / "bus") as bus:
        bus.network_manager(70)
        power = bus.upower(on_battery=False)
        stranger = bus.networkd()
        with home.daemon(env={"CONTINUE_API_KEY": DEMO_KEY, "DBUS_SYSTEM_BUS_ADDRESS": bus.address}) as daemon:
            eventually(lambda: told(daemon) == 1)
            bus.connected()
            eventually(lambda: power.asked)
            time.sleep(3)  # what follows the start, such as watching the config file, is over
            before = wake_ups(daemon.process.pid)
            battery = power.kind._replace(path="/org/freedesktop/UPower/devices/battery_BAT0")
            power.kind = battery
            for percentage in range(50):
                power.set(Percentage=("d", float(percentage)))
                stranger.say("LinkAdded", "s", ("eth0",))
            time.sleep(1)
            assert wake_ups(daemon.process.pid) - before <= 3
