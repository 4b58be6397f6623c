"""The service's lines, against a stand-in `systemctl` that says what files tell it to; the units are the real ones."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.doctor.looking import Place, grades, only
from tests.doctor.test_doctor_port import free_port, listening

from hublet.doctor import port, service
from hublet.doctor.findings import Finding
from hublet.host import launchd, systemd
from hublet.host.steps import Plan

# `show UNIT --property=...` prints the file of that unit; one that is called `fails` makes everything fail.
_SYSTEMCTL = """#!/bin/sh
here=${0%/*}
echo "$@" >> "$here/calls"
[ ! -e "$here/hangs" ] || exec sleep 60
[ ! -e "$here/fails" ] || { echo "Failed to connect to bus: No medium found" >&2; exit 1; }
case "$2 $3" in
  "show --property=Version") echo Version=252 ;;
  "show "*) [ ! -e "$here/$3" ] || while read -r line; do echo "$line"; done < "$here/$3" ;;
  *) exit 64 ;;
esac
"""
_LOGINCTL = '#!/bin/sh\nwhile read -r line; do echo "$line"; done < "${0%/*}/linger"\n'
_WELL = {"ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "Result": "success",
         "NRestarts": "0", "NeedDaemonReload": "no", "DropInPaths": "", "WatchdogUSec": "1min 30s"}  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd")


class Stand:
    """An installed service whose manager says that all is well, until it is told otherwise."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.bin = place.path / "bin"
        self.bin.mkdir()
        for name, text in (("systemctl", _SYSTEMCTL), ("loginctl", _LOGINCTL)):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        place.environment["PATH"] = f"{self.bin}:/usr/bin:/bin"
        place.configure(serve={"port": 3001})
        self.program = place.write(".local/bin/hublet", "#!/bin/sh\n", 0o755)
        self.units = place.home / ".config" / "systemd" / "user"
        for name, text in systemd.render(Plan(program=self.program, home=place.home)).items():
            place.write(f".config/systemd/user/{name}", text)
        self.say(systemd.SERVICE, WatchdogTimestampMonotonic=str(self.fed(10)))
        self.say(systemd.SOCKET, SubState="listening", Listen="127.0.0.1:3001 (Stream) [::1]:3001 (Stream)")
        (self.bin / "linger").write_text("Linger=no\n")

    @staticmethod
    def fed(ago: float) -> int:
        return int((time.clock_gettime(time.CLOCK_MONOTONIC) - ago) * 1e6)

    def say(self, unit: str, **properties: str) -> None:
        file = self.bin / unit
        before = dict(line.split("=", 1) for line in file.read_text().splitlines()) if file.exists() else _WELL
        file.write_text("".join(f"{name}={value}\n" for name, value in (before | properties).items()))

    @property
    def found(self) -> list[Finding]:
        return self.place.found(service.service)


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    found = Stand(Place(tmp_path))
    monkeypatch.setenv("PATH", found.place.environment["PATH"])
    return found


def test_a_service_that_is_well(stand: Stand) -> None:
    """Nothing but looking is asked of the manager."""
    assert set(grades(stand.found).values()) == {"ok"}
    assert set(grades(stand.found)) == {
        "service.program", "service.enabled", "service.active", "service.watchdog", "service.linger",
    }  # fmt: skip
    calls = (stand.bin / "calls").read_text().splitlines()
    assert {line.split()[1] for line in calls} == {"show"}


def test_no_service_is_installed(stand: Stand) -> None:
    """With a manager the fix is to install; without one it is another."""
    for name in (systemd.SERVICE, systemd.SOCKET):
        (stand.units / name).unlink()
    assert only(stand.found, "service").fix == "`hublet service install`"
    (stand.bin / "fails").touch()
    found = only(stand.found, "service")
    assert (found.grade, "`hublet run`" in found.fix) == ("warning", True)


def test_a_service_without_its_manager(stand: Stand) -> None:
    (stand.bin / "fails").touch()
    assert "No medium found" in only(stand.found, "service").message


def test_a_manager_that_hangs(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    from hublet.doctor.findings import Check, run

    monkeypatch.setattr(service, "_PATIENCE", 0.3)
    (stand.bin / "hangs").touch()
    found = run([Check("service", service.service)], stand.place.scene())
    assert (found[-1].grade, "does not end" in found[-1].message) == ("problem", True)


@pytest.mark.parametrize("unit", [systemd.SERVICE, systemd.SOCKET])
def test_a_unit_edited_by_hand(stand: Stand, unit: str) -> None:
    file = stand.units / unit
    file.write_text(file.read_text() + "# mine\n")
    found = only(stand.found, "service.edited")
    assert (found.grade, str(file) in found.message) == ("warning", True)


def test_a_program_that_has_gone(stand: Stand) -> None:
    """Its environment was removed, or the upgrade put it elsewhere."""
    stand.program.unlink()
    found = only(stand.found, "service.program")
    assert (found.grade, str(stand.program) in found.message) == ("problem", True)


def test_a_unit_that_starts_nothing(stand: Stand) -> None:
    (stand.units / systemd.SERVICE).write_text("[Service]\nType=notify\n")
    assert only(stand.found, "service.program").grade == "problem"


@pytest.mark.parametrize("odd", ["o dd/hub let", "100%/$HOME/hublet"])
def test_a_program_with_an_odd_name_is_found(stand: Stand, odd: str) -> None:
    """Specifiers, variables and quotes are read as install writes them."""
    program = stand.place.write(odd, "#!/bin/sh\n", 0o755)
    text = systemd.render(Plan(program=program, home=stand.place.home))[systemd.SERVICE]
    (stand.units / systemd.SERVICE).write_text(text)
    assert only(stand.found, "service.program").message == f"starts {program}"


def _one(check: str, grade: str, words: str) -> Callable[[list[Finding]], bool]:
    return lambda found: any(f.check == check and f.grade == grade and words in f.message for f in found)


@pytest.mark.parametrize(
    ("unit", "properties", "expected"),
    [
        ("service", {"UnitFileState": "disabled"}, _one("service.enabled", "warning", "is disabled")),
        ("socket", {"UnitFileState": ""}, _one("service.enabled", "warning", "not known")),
        ("service", {"ActiveState": "failed", "Result": "exit-code"}, _one("service.active", "problem", "exit-code")),
        ("service", {"ActiveState": "inactive"}, _one("service.active", "ok", "first request")),
        ("socket", {"ActiveState": "inactive"}, _one("service.active", "problem", "hublet.socket is inactive")),
        ("service", {"NRestarts": "7"}, _one("service.restarts", "warning", "7 times")),
        ("service", {"NeedDaemonReload": "yes"}, _one("service.reload", "warning", "goes on with the old one")),
        ("service", {"DropInPaths": "/etc/x.conf"}, _one("service.drop-ins", "ok", "/etc/x.conf")),
        ("service", {"ActiveState": "failed", "Result": "watchdog"}, _one("service.watchdog", "problem", "not feed")),
        ("socket", {"Listen": "127.0.0.1:3999 (Stream)"}, _one("service.port", "warning", "holds port 3999")),
    ],
)  # fmt: skip
def test_what_the_manager_says(
    stand: Stand, unit: str, properties: dict[str, str], expected: Callable[[list[Finding]], bool]
) -> None:
    stand.say(f"hublet.{unit}", **properties)
    found = stand.found
    assert expected(found), found


@pytest.mark.parametrize(
    ("limit", "ago", "grade"), [("1min 30s", 50, "problem"), ("1min 30s", 31, "ok"), ("6s", 4, "problem")]
)
def test_a_watchdog_that_is_not_fed(stand: Stand, limit: str, ago: float, grade: str) -> None:
    """Each third of its time it should be; half of it is too long."""
    stand.say(systemd.SERVICE, WatchdogUSec=limit, WatchdogTimestampMonotonic=str(stand.fed(ago)))
    assert only(stand.found, "service.watchdog").grade == grade


def test_lingering(stand: Stand) -> None:
    assert "ends when you log out" in only(stand.found, "service.linger").message
    (stand.bin / "linger").write_text("Linger=yes\n")
    assert "goes on" in only(stand.found, "service.linger").message
    (stand.bin / "loginctl").unlink()
    stand.place.environment["PATH"] = str(stand.bin)
    assert "service.linger" not in grades(stand.found)


def test_a_port_that_the_manager_holds_for_hublet_is_ok(stand: Stand) -> None:
    """Nobody runs; the first request will start it. The same port without the socket unit is a stranger's."""
    number = free_port()
    with listening("127.0.0.1", number):
        stand.place.configure(serve={"port": number})
        assert "first request" in only(stand.place.found(port.port), "port.ipv4").message
        stand.say(systemd.SOCKET, ActiveState="inactive")
        assert only(stand.place.found(port.port), "port.ipv4").grade == "problem"


def test_on_a_mac(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in launchctl: not installed, not loaded, loaded, edited."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert only(stand.found, "service").grade == "warning"
    (stand.bin / "launchctl").write_text(
        '#!/bin/sh\n[ "${2%agent}" = "$2" ] || [ -e "${0%/*}/loaded" ] || exit 113\nprintf "state = running\\n"\n'
    )
    (stand.bin / "launchctl").chmod(0o755)
    file = f"Library/LaunchAgents/{launchd.LABEL}.plist"
    text = launchd.render(Plan(program=stand.program, home=stand.place.home))
    stand.place.write(file, text)
    assert grades(stand.found) == {"service.active": "problem"}
    (stand.bin / "loaded").touch()
    assert grades(stand.found) == {"service.active": "ok"}
    stand.place.write(file, text + "<!-- mine -->")
    assert grades(stand.found) == {"service.edited": "warning", "service.active": "ok"}
