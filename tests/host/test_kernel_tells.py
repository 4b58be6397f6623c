"""Power and routes as the kernel tells of them, where no service does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.host.hearing import listening
from tests.running import missing

from hublet.host.desktop import on_battery
from hublet.host.routes import leads_out

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="power supplies and netlink are Linux's")


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
    """They are read each time; a mouse's battery is not the machine's."""
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
