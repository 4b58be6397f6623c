"""The service's lines under a real `systemd --user`, with each fault made to a real unit."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest
from tests.host.installed import Installed, free_port, install_program, why_not
from tests.running import eventually
from tests.user_systemd import user_manager
from tests.user_systemd import why_not as why_no_manager

from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.demo.server import HubServer

pytestmark = [
    pytest.mark.systemd,
    pytest.mark.skipif(bool(why_no_manager() or why_not()), reason=why_no_manager() or why_not()),
]
UNITS = ".config/systemd/user"


@pytest.fixture(scope="module")
def service() -> Iterator[Installed]:
    """Installed and logged in; nobody has asked it for anything yet."""
    with HubServer(Hub()) as hub, user_manager() as manager:
        found = Installed(manager, install_program(manager), free_port(), hub.url)
        found.configure()
        assert found.hublet("login", input=DEMO_KEY.encode()).returncode == 0
        found.service("install")
        yield found


def told(service: Installed) -> dict[str, list[tuple[str, str]]]:
    """Grade and message of each line, by check."""
    done = service.hublet("doctor", "--json")
    assert done.stderr == b"", done.stderr.decode()
    found: dict[str, list[tuple[str, str]]] = {}
    for one in json.loads(done.stdout)["findings"]:
        found.setdefault(one["check"], []).append((one["grade"], one["message"]))
    return found


def worst(found: dict[str, list[tuple[str, str]]], check: str) -> str:
    order = ("ok", "warning", "problem")
    return max((grade for grade, _ in found[check]), key=order.index)


def test_looking_does_not_start_the_service(service: Installed) -> None:
    """Its port is held by the manager; nobody is connected to, and the key is tried without it."""
    found = told(service)
    assert service.show("ActiveState") == "inactive"
    assert {worst(found, check) for check in ("port.ipv4", "port.ipv6", "service.active", "service.enabled")} == {"ok"}
    assert "the first request starts hublet" in found["port.ipv4"][0][1]
    assert found["installs"] == [("ok", f"one hublet, in {service.program.parents[1]}")]
    assert found["hub.key"][0] == ("ok", "the Hub takes the key (asked by this command)")
    assert not [line for lines in found.values() for line in lines if line[0] == "problem"]


def test_a_service_that_runs_is_well(service: Installed) -> None:
    """By all of its lines."""
    assert service.ask("/ide/policy") == 200
    service.wait("ActiveState", "active")
    found = told(service)
    for check in ("service.program", "service.enabled", "service.active", "service.watchdog", "port.ipv4", "port.ipv6",
                  "daemon", "socket.admin", "hub.key"):  # fmt: skip
        assert worst(found, check) == "ok", found[check]


def test_a_unit_edited_by_hand_is_named_and_not_loaded_yet(service: Installed) -> None:
    unit = service.manager.home / UNITS / "hublet.service"
    before = unit.read_text()
    service.manager.write(f"{UNITS}/hublet.service", before + "# mine\n")
    try:
        found = told(service)
        assert worst(found, "service.edited") == "warning"
        assert worst(found, "service.reload") == "warning"
    finally:
        service.manager.write(f"{UNITS}/hublet.service", before)
        service.manager.systemctl("daemon-reload")
    assert "service.edited" not in told(service)


def test_a_service_that_is_not_enabled(service: Installed) -> None:
    service.manager.systemctl("disable", "hublet.service", "hublet.socket")
    try:
        assert worst(told(service), "service.enabled") == "warning"
    finally:
        service.service("install")


def test_a_hanging_service_is_ended_by_its_watchdog_and_doctor_says_so(service: Installed) -> None:
    """Stopped by a signal it feeds nobody; with a short watchdog, and no restart that would hide it."""
    service.manager.write(f"{UNITS}/hublet.service.d/short.conf", "[Service]\nWatchdogSec=4\nRestart=no\n")
    service.manager.systemctl("daemon-reload")
    service.manager.systemctl("restart", "hublet.service")
    service.wait("ActiveState", "active")
    os.kill(int(service.show("MainPID")), signal.SIGSTOP)
    service.wait("Result", "watchdog", within=60)
    eventually(lambda: service.show("ActiveState") == "failed", within=60)
    try:
        found = told(service)
        assert worst(found, "service.watchdog") == "problem"
        assert "short.conf" in found["service.drop-ins"][0][1]
    finally:
        (service.manager.home / UNITS / "hublet.service.d/short.conf").unlink()
        service.manager.systemctl("daemon-reload")
        service.manager.systemctl("reset-failed", "hublet.service")


def test_the_program_has_gone(service: Installed) -> None:
    hidden = service.program.with_name("hublet.away")
    service.program.rename(hidden)
    try:
        done = service.manager.run(
            str(service.program.with_name("python")), "-m", "hublet.cli.main", "doctor", "--json"
        )
        lines = [one for one in json.loads(done.stdout)["findings"] if one["check"] == "service.program"]
        assert [one["grade"] for one in lines] == ["problem"]
        assert done.returncode == 1
    finally:
        hidden.rename(service.program)
