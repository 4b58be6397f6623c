"""The background service: whether it is installed, enabled, unedited and alive, and whether its program still
exists."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from subprocess import run as start

from hublet.core.errors import HubletError, NoServiceManager
from hublet.core.units import duration
from hublet.doctor.findings import Findings, ok, problem, warning
from hublet.doctor.scene import Scene
from hublet.host.steps import content_of, is_as_written
from hublet.host.systemd import SERVICE, SOCKET, WATCHDOG, Systemd, manager_environment

_PATIENCE = 5.0
_SHOWN = (
    "ActiveState,SubState,UnitFileState,Result,NRestarts,NeedDaemonReload,DropInPaths,FragmentPath,"
    "WatchdogTimestampMonotonic,WatchdogUSec,Listen"
)
_INSTALL = "`hublet service install`"


def asked(scene: Scene, *words: str) -> CompletedProcess[str]:
    """Run a program of the service manager that only reads. Raises HubletError when it takes longer than five seconds,
    NoServiceManager when it can't be run."""
    environment = manager_environment(scene.environment)
    try:
        return start(words, capture_output=True, text=True, timeout=_PATIENCE, check=False, env=environment)
    except TimeoutExpired:
        raise HubletError(f"{shlex.join(words)} does not end", hint="the service manager hangs: see its log") from None
    except OSError as error:
        raise NoServiceManager(f"{words[0]} can't be run: {error.strerror}") from None


def properties(scene: Scene, unit: str) -> dict[str, str]:
    """The properties of a unit, as the user's service manager tells them. Raises HubletError."""
    said = asked(scene, "systemctl", "--user", "show", unit, f"--property={_SHOWN}").stdout
    return dict(line.partition("=")[::2] for line in said.splitlines())


def holds_port(scene: Scene) -> bool:
    """Whether the service manager listens on the port in hublet's place (socket activation)."""
    if sys.platform != "linux" or content_of(systemd_of(scene).folder / SOCKET) is None:
        return False
    try:
        return properties(scene, SOCKET).get("ActiveState") == "active"
    except HubletError:
        return False


def service(scene: Scene) -> Findings:
    """On Linux each property of the systemd units; on macOS what launchd says of the agent."""
    if sys.platform == "darwin":
        yield from _launchd(scene)
        return
    manager = systemd_of(scene)
    if not manager.installed:
        fix = _INSTALL if _answers(manager) else "`hublet run` from your shell's profile: there is no user manager here"
        yield warning("service", "hublet is not installed as a service: it runs while you run it", fix)
        return
    yield from _files(scene, manager)
    try:
        manager.check()
    except NoServiceManager as error:
        yield problem("service", error.message, error.hint)
        return
    yield from _units(scene, manager)
    yield from _lingering(scene)


def systemd_of(scene: Scene) -> Systemd:
    return Systemd(scene.environment, asking=lambda words: asked(scene, *words))


def _answers(manager: Systemd) -> bool:
    try:
        manager.check()
    except NoServiceManager:
        return False
    return True


def _files(scene: Scene, manager: Systemd) -> Findings:
    for path in manager.paths:
        text = content_of(path)
        if text is not None and not is_as_written(text):
            yield warning(
                "service.edited",
                f"{path} was edited by hand: install and uninstall leave it alone",
                "move the change to a drop-in (`systemctl --user edit hublet`), then `hublet service install --force`",
            )
    program = program_of(manager, scene.home)
    if program is None:
        yield problem("service.program", f"{manager.folder / SERVICE} starts no program", f"{_INSTALL} --force")
    elif not os.access(program, os.X_OK):
        yield problem(
            "service.program",
            f"the program that the service starts is gone: {program}",
            f"{_INSTALL} with the hublet that you have now",
        )
    else:
        yield ok("service.program", f"starts {program}")


def program_of(manager: Systemd, home: Path) -> Path | None:
    """The program that the unit file starts; None when it names none."""
    found = re.search(r"^ExecStart=(.*)$", content_of(manager.folder / SERVICE) or "", re.MULTILINE)
    if found is None:
        return None
    try:
        words = shlex.split(found[1])
    except ValueError:
        return None
    word = words[0] if words else ""
    word = re.sub(r"%[h%]|\$\$", lambda m: {"%h": str(home), "%%": "%", "$$": "$"}[m[0]], word)
    return Path(word) if word.startswith("/") else None


def _units(scene: Scene, manager: Systemd) -> Findings:
    has_socket = content_of(manager.folder / SOCKET) is not None
    for unit in (*((SOCKET,) if has_socket else ()), SERVICE):
        value = properties(scene, unit)
        if value.get("NeedDaemonReload") == "yes":
            yield warning(
                "service.reload",
                f"{unit} has changed on the disk, and systemd goes on with the old one",
                "systemctl --user daemon-reload, then `hublet service restart`",
            )
        if value.get("UnitFileState") not in ("enabled", "enabled-runtime", "linked"):
            state = value.get("UnitFileState") or "not known to systemd"
            yield warning("service.enabled", f"{unit} is {state}: it does not start with your session", _INSTALL)
        else:
            yield ok("service.enabled", f"{unit} starts with your session")
        yield from _active(unit, value, has_socket)
        yield from _drop_ins(unit, value, manager)
    yield from _watchdog(scene)
    if has_socket:
        yield from _held(scene)


def _active(unit: str, value: Mapping[str, str], has_socket: bool) -> Findings:
    state = value.get("ActiveState", "unknown")
    if state in ("active", "activating", "reloading"):
        yield ok("service.active", f"{unit} is {state} ({value.get('SubState', '')})")
    elif state == "inactive" and unit == SERVICE and has_socket:
        yield ok("service.active", f"{unit} is started by the first request")
    else:
        result = value.get("Result", "success")
        why = f", result {result}" if result != "success" else ""
        yield problem(
            "service.active", f"{unit} is {state}{why}", "`hublet service start`, and see `hublet service logs`"
        )
    restarts = value.get("NRestarts", "0")
    if restarts not in ("", "0"):
        yield warning(
            "service.restarts", f"systemd had to start it again {restarts} times", "see `hublet service logs`"
        )


def _drop_ins(unit: str, value: Mapping[str, str], manager: Systemd) -> Findings:
    foreign = [path for path in value.get("DropInPaths", "").split() if Path(path) not in manager.paths]
    if foreign:
        yield ok("service.drop-ins", f"{unit} is changed by {', '.join(foreign)}")


def _watchdog(scene: Scene) -> Findings:
    value = properties(scene, SERVICE)
    fed = value.get("WatchdogTimestampMonotonic", "0")
    fix = "`hublet service restart`; `hublet doctor --bundle FILE` has what a bug report needs"
    if value.get("Result") == "watchdog":
        yield problem("service.watchdog", "systemd ended it, because it did not feed its watchdog", fix)
    elif value.get("ActiveState") == "active" and fed.isdigit() and int(fed):
        ago = time.clock_gettime(time.CLOCK_MONOTONIC) - int(fed) / 1e6
        if ago > _seconds(value.get("WatchdogUSec", "")) / 2:  # hublet feeds it after each third of that time
            yield problem("service.watchdog", f"it has not fed its watchdog for {duration(ago)}: it hangs", fix)
        else:
            yield ok("service.watchdog", f"fed {duration(ago)} ago")


def _seconds(text: str) -> float:
    """Seconds, from a length of time as systemd shows it (`1min 30s`)."""
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
    parts = re.findall(r"([\d.]+)(us|ms|s|min|h)\b", text)
    return sum(float(number) * units[unit] for number, unit in parts) or WATCHDOG


def _held(scene: Scene) -> Findings:
    """A warning when the socket unit listens on another port than the config says."""
    ports = set(re.findall(r":(\d+) \(Stream\)", properties(scene, SOCKET).get("Listen", "")))
    wanted = str(scene.config.serve.port)
    if scene.config_error is None and ports and ports != {wanted}:
        yield warning(
            "service.port", f"{SOCKET} holds port {', '.join(sorted(ports))}, the config says {wanted}", _INSTALL
        )


def _lingering(scene: Scene) -> Findings:
    try:
        said = asked(scene, "loginctl", "show-user", str(os.getuid()), "--property=Linger").stdout.strip()
    except HubletError:
        return
    if said == "Linger=yes":
        yield ok("service.linger", "goes on while you are logged out")
    elif said == "Linger=no":
        yield ok("service.linger", "ends when you log out (`hublet service install --linger` changes that)")


def _launchd(scene: Scene) -> Findings:
    from hublet.host.launchd import Launchd

    manager = Launchd(scene.environment, asking=lambda words: asked(scene, *words))
    if not manager.installed:
        yield warning("service", "hublet is not installed as a service: it runs while you run it", _INSTALL)
        return
    text = content_of(manager.file)
    if text is not None and not is_as_written(text):
        yield warning("service.edited", f"{manager.file} was edited by hand", f"{_INSTALL} --force")
    try:
        manager.check()
        up, lines = manager.state()
    except HubletError as error:
        yield problem("service", error.message, error.hint)
        return
    for line in lines:
        yield ok("service.active", line) if up else problem("service.active", line, "`hublet service start`")
