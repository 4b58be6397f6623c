"""The verbs on launchd, against a stand-in `launchctl` on PATH that records its calls and remembers what is loaded."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path

import pytest

from hublet.core.errors import NoServiceManager, ServiceError, UsageError
from hublet.host.activation import _from_launchd
from hublet.host.launchd import Launchd
from hublet.host.steps import Plan, Run, describe, perform, refuse_edited

DOMAIN = f"gui/{os.getuid()}"
TARGET = f"{DOMAIN}/dev.hublet.agent"
_STAND_IN = """#!/bin/sh
here=${0%/*}
[ "$1" = print ] || echo "$@" >> "$here/calls"
case "$1 $2" in
  "print gui/"*/dev.hublet.agent)
    [ -e "$here/loaded" ] || exit 113
    printf 'x = {\\n\\tstate = running\\n\\tpid = 7\\n}\\n' ;;
  "print gui/"*) [ ! -e "$here/nobody" ] || exit 125 ;;
  bootstrap*)
    [ ! -e "$here/loaded" ] || { echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; }
    : > "$here/loaded" ;;
  bootout*) [ -e "$here/loaded" ] || exit 113; rm "$here/loaded" ;;
  "enable "*|kickstart*) : ;;
  *) exit 64 ;;
esac
"""


class Stand:
    def __init__(self, folder: Path) -> None:
        self.bin, self.home = folder / "bin", folder / "home"
        self.bin.mkdir()
        self.home.mkdir()
        (self.bin / "launchctl").write_text(_STAND_IN)
        (self.bin / "launchctl").chmod(0o755)
        self.launchd = Launchd({"HOME": str(self.home)})
        self.plan = Plan(
            program=self.home / ".local/bin/hublet", home=self.home, writable=(self.home / "data",), port=3002
        )

    @property
    def calls(self) -> list[str]:
        """The calls since the last time that this was called."""
        file = self.bin / "calls"
        found = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return found


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    found = Stand(tmp_path)
    monkeypatch.setenv("PATH", f"{found.bin}:{os.environ['PATH']}")
    return found


def test_the_life_of_an_agent(stand: Stand) -> None:
    """Install twice, change, restart, stop, start, uninstall twice: each uses documented commands only."""
    launchd, file = stand.launchd, stand.launchd.file
    launchd.check()
    steps = launchd.install(stand.plan)
    assert stand.calls == []
    assert [describe(step) for step in steps][:2] == [f"make {stand.home / 'data'} (0700)", f"write {file}"]
    perform(steps)
    assert stand.calls == [f"enable {TARGET}", f"bootstrap {DOMAIN} {file}"]
    assert plistlib.loads(file.read_bytes())["ProgramArguments"][0] == str(stand.plan.program)
    assert launchd.state() == (True, ["dev.hublet.agent: state running, pid 7"])
    perform(launchd.install(stand.plan))
    assert stand.calls == [f"enable {TARGET}"]

    perform(launchd.install(Plan(program=stand.plan.program, home=stand.home, port=3003)))
    assert stand.calls == [f"bootout {TARGET}", f"enable {TARGET}", f"bootstrap {DOMAIN} {file}"]
    perform(launchd.restart())
    perform(launchd.stop())
    perform(launchd.stop())
    assert stand.calls == [f"kickstart -k {TARGET}", *[f"bootout {TARGET}"] * 2]
    assert launchd.state() == (False, ["dev.hublet.agent: not loaded"])
    perform(launchd.start())
    assert stand.calls == [f"bootstrap {DOMAIN} {file}", f"kickstart {TARGET}"]

    log = stand.home / "Library/Logs/hublet.log"
    assert launchd.logs(follow=True, lines=5) == ("tail", "-n", "5", "-f", str(log))
    perform(launchd.uninstall())
    assert stand.calls == [f"bootout {TARGET}"]
    assert not file.exists()
    assert launchd.uninstall() == ()


def test_a_refusal_is_said_in_launchctls_words(stand: Stand) -> None:
    """And no further step is carried out."""
    perform(stand.launchd.install(stand.plan))
    again = Run(("launchctl", "bootstrap", DOMAIN, str(stand.launchd.file)))
    with pytest.raises(ServiceError, match="Bootstrap failed: 5: Input/output error"):
        perform([again, Run(("launchctl", "kickstart", TARGET))])
    assert not any(call.startswith("kickstart") for call in stand.calls)


def test_a_property_list_edited_by_hand_is_named(stand: Stand) -> None:
    perform(stand.launchd.install(stand.plan))
    refuse_edited(stand.launchd.paths, "overwritten")
    stand.launchd.file.write_text(stand.launchd.file.read_text().replace("Background", "Interactive"))
    with pytest.raises(UsageError, match="edited by hand"):
        refuse_edited(stand.launchd.paths, "overwritten")


def test_without_a_session_there_is_no_launchd(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over ssh to a Mac that nobody is logged in to, and where there is no launchctl at all."""
    (stand.bin / "nobody").touch()
    with pytest.raises(NoServiceManager) as caught:
        stand.launchd.check()
    assert caught.value.exit_code == 14
    assert "`hublet run`" in caught.value.hint
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NoServiceManager):
        stand.launchd.check()


def test_sockets_are_asked_of_launchd_by_name() -> None:
    """launch_activate_socket(3) as its manual declares it, by a stand-in for the library."""
    import ctypes

    freed: list[bool] = []
    array = (ctypes.c_int * 2)(5, 6)

    class Library:
        @staticmethod
        def launch_activate_socket(name: bytes, descriptors: object, count: object) -> int:
            if name != b"Listeners":
                return 3
            ctypes.memmove(
                ctypes.addressof(descriptors._obj),  # type: ignore[attr-defined]
                ctypes.byref(ctypes.c_void_p(ctypes.addressof(array))),
                ctypes.sizeof(ctypes.c_void_p),
            )
            count._obj.value = 2  # type: ignore[attr-defined]
            return 0

        @staticmethod
        def free(descriptors: object) -> None:
            freed.append(True)

    class Wrapped:
        """A library whose functions take argtypes and restype, like those of ctypes."""

        def __init__(self) -> None:
            self.launch_activate_socket = type(
                "F", (), {"__call__": lambda _, *a: Library.launch_activate_socket(*a)}
            )()
            self.free = type("F", (), {"__call__": lambda _, *a: Library.free(*a)})()

    assert _from_launchd("Listeners", Wrapped()) == [5, 6]  # type: ignore[arg-type]
    assert freed == [True]
    assert _from_launchd("Others", Wrapped()) == []  # type: ignore[arg-type]
    assert _from_launchd("Listeners") == []  # no such function here
