"""hublet as units of a systemd user manager: their texts, and the steps that install and remove them.

Each line of the sandbox is one that a *user* manager really applies (tests/host/test_systemd.py checks the effects).
PrivateUsers makes the mounts possible: without it they fail silently. AF_NETLINK is allowed because the kernel is asked
over netlink who a client is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from hublet.core.errors import NoServiceManager
from hublet.host.steps import Asking, Make, Plan, Remove, Run, Step, Write, ask, content_of, seal_line, sealed

SERVICE, SOCKET = "hublet.service", "hublet.socket"
RESTART, CREDENTIAL = "hublet.service.d/50-restart.conf", "hublet.service.d/50-credential.conf"
WATCHDOG = 90

_HEADER = f"""\
# Written by `hublet service install`. Changes belong in a drop-in: systemctl --user edit hublet
# {seal_line()}
"""

_SERVICE = """\
[Unit]
Description=Local cache of your Continue Hub assistants
{requires}# A start that fails is tried again for as long as it takes: requests wait at the socket meanwhile.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=kill -HUP $MAINPID
{environment}Restart=on-failure
RestartSec=2
WatchdogSec={watchdog}
TimeoutStopSec=20
KillMode=mixed
# A pass that the kernel kills for its memory is a broken pass; what is cached is served all the same.
OOMPolicy=continue

RuntimeDirectory=hublet
RuntimeDirectoryMode=0700
UMask=0077
ReadWritePaths={writable}

NoNewPrivileges=yes
PrivateUsers=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
ProtectSystem=strict
ProtectHome=read-only
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
LimitCORE=0
CapabilityBoundingSet=
AmbientCapabilities=
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=default.target
"""

_SOCKET = """\
[Unit]
Description=Local cache of your Continue Hub assistants, the port

[Socket]
{listen}NoDelay=yes
Backlog=512

[Install]
WantedBy=sockets.target
"""

_RESTART = """\
# For managers that know these (254 and later): the time between two starts grows.
[Service]
RestartSec=1
RestartSteps=8
RestartMaxDelaySec=5min
"""

_CREDENTIAL = """\
# The key of `keys.source: credential`. systemd 252 can't give one to a unit with ProtectHome and PrivateUsers: exit
# code 226, since credentials lie below /run/user, which ProtectHome covers. The home stays read-only, /run/user not.
[Service]
LoadCredential=hublet-key:{file}
ProtectHome=no
ReadOnlyPaths=%h
"""


def render(plan: Plan, *, growing_delay: bool = False) -> dict[str, str]:
    """The texts of the units and drop-ins, by their names below ~/.config/systemd/user."""
    command = " ".join(_word(word, plan.home, command=True) for word in (str(plan.program), *plan.options, "run"))
    service = _SERVICE.format(
        requires=f"Requires={SOCKET}\n" if plan.socket else "",
        command=command,
        environment="".join(
            f"Environment={_word(f'{name}={value}', plan.home)}\n" for name, value in plan.environment.items()
        ),
        watchdog=WATCHDOG,
        writable=" ".join(_word(f"-{path}", plan.home) for path in plan.writable),
    )
    units = {SERVICE: service}
    if plan.socket:
        addresses = ("127.0.0.1", "[::1]") if plan.ipv6 else ("127.0.0.1",)
        listen = "".join(f"ListenStream={address}:{plan.port}\n" for address in addresses)
        units[SOCKET] = _SOCKET.format(listen=listen)
    if growing_delay:
        units[RESTART] = _RESTART
    if plan.credential is not None:
        units[CREDENTIAL] = _CREDENTIAL.format(file=_path(plan.credential, plan.home))
    return {name: sealed(_HEADER + text) for name, text in units.items()}


def _path(path: Path, home: Path) -> str:
    """A path that is the rest of a line of a unit file, where blanks and quotes are taken literally."""
    inside = home in path.parents
    return "%h" + str(path)[len(str(home)) :].replace("%", "%%") if inside else str(path).replace("%", "%%")


def _word(text: str, home: Path, *, command: bool = False) -> str:
    """One word of a unit file, escaped so that it is taken literally; the home becomes `%h`. Only in a command `$` is
    escaped too."""
    dash = "-" if text.startswith("-/") else ""

    def literal(part: str) -> str:
        part = part.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
        return part.replace("$", "$$") if command else part

    text = text.removeprefix(dash)
    inside = text.startswith(f"{home}/")
    short = "%h" + literal(text[len(str(home)) :]) if inside else literal(text)
    return f'"{dash}{short}"' if set(short) & set(" \t\n';\\\"") else dash + short


class Systemd:
    """The steps of each verb of `hublet service`, which `cli/service.py` shows or performs. `asking` runs commands that
    change nothing."""

    def __init__(self, environment: Mapping[str, str], *, asking: Asking = ask) -> None:
        home = Path(environment.get("HOME") or Path.home())
        self.folder = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
        self._asking = asking

    def check(self) -> None:
        """Raises NoServiceManager when no user manager answers."""
        if shutil.which("systemctl") is None:
            raise NoServiceManager("systemd is not installed here", hint=_WITHOUT)
        done = self._asking(_systemctl("show", "--property=Version"))
        if done.returncode:
            why = done.stderr.strip().partition("\n")[0]
            raise NoServiceManager(f"no systemd user manager answers: {why}", hint=_WITHOUT)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that install may have written."""
        return tuple(self.folder / name for name in (SERVICE, SOCKET, RESTART, CREDENTIAL))

    @property
    def installed(self) -> bool:
        return content_of(self.folder / SERVICE) is not None

    def files(self, plan: Plan) -> dict[Path, str]:
        return {self.folder / name: text for name, text in render(plan, growing_delay=self._knows_steps()).items()}

    def install(self, plan: Plan, *, linger: bool = False) -> tuple[Step, ...]:
        """The steps that are still needed. A second install only enables and starts the units again."""
        files = self.files(plan)
        steps: list[Step] = [Make(folder) for folder in plan.writable if not folder.is_dir()]
        changed = {path for path, text in files.items() if content_of(path) != text}
        gone = {path for path in self.paths if path not in files and content_of(path) is not None}
        running, listening = self._is_active(SERVICE), self._is_active(SOCKET)
        port_moves = bool({self.folder / SOCKET} & (changed | gone)) or (plan.socket and running and not listening)
        if port_moves and (running or listening):
            steps.append(_run("stop", SOCKET, SERVICE, may_fail=True))  # a socket can't change while its service runs
        if self.folder / SOCKET in gone:
            steps.append(_run("disable", SOCKET, may_fail=True))
        steps += [Write(path, files[path]) for path in files if path in changed]
        steps += [Remove(path) for path in self.paths if path in gone]
        if changed or gone:
            steps.append(_run("daemon-reload"))
        steps.append(_run("enable", *((SOCKET,) if plan.socket else ()), SERVICE))
        if plan.socket:
            steps.append(_run("start", SOCKET))
        if running and (changed or gone):
            steps.append(_run("restart", SERVICE))
        elif not plan.socket:
            steps.append(_run("start", SERVICE))
        if linger:
            steps.append(Run(("loginctl", "enable-linger")))
        return tuple(steps)

    def uninstall(self) -> tuple[Step, ...]:
        found = [path for path in self.paths if content_of(path) is not None]
        if not found:
            return ()
        units = [path.name for path in found if path.name in (SOCKET, SERVICE)]
        off: list[Step] = [_run("disable", "--now", *units, may_fail=True)] if units else []
        cleared = _run("reset-failed", SERVICE, SOCKET, may_fail=True)
        return (*off, *(Remove(path) for path in found), _run("daemon-reload"), cleared)

    def start(self) -> tuple[Step, ...]:
        return (_run("start", *self._units(), SERVICE),)

    def stop(self) -> tuple[Step, ...]:
        """Stop the socket too: otherwise the next request would start the service again."""
        return (_run("stop", *self._units(), SERVICE),)

    def restart(self) -> tuple[Step, ...]:
        """Restart the service. The socket stays, and requests wait there meanwhile."""
        return (_run("restart", SERVICE),)

    def logs(self, *, follow: bool, lines: int) -> tuple[str, ...]:
        return ("journalctl", "--user", "--unit", SERVICE, "--lines", str(lines), *(("--follow",) if follow else ()))

    def state(self) -> tuple[bool, list[str]]:
        """Whether hublet serves or will serve with the next request, and a line about each unit."""
        lines, up = [], False
        for unit in (*self._units(), SERVICE):
            wanted = "ActiveState,SubState,UnitFileState,StatusText,NRestarts,Result"
            said = self._asking(_systemctl("show", unit, f"--property={wanted}")).stdout
            value = dict(line.partition("=")[::2] for line in said.splitlines())
            up = up or value.get("ActiveState") == "active"
            words = [f"{value.get('ActiveState', 'unknown')} ({value.get('SubState', '')})"]
            words.append(value.get("UnitFileState") or "not enabled")
            words += [value["StatusText"]] if value.get("StatusText") else []
            words += [f"restarted {value['NRestarts']} times"] if value.get("NRestarts", "0") != "0" else []
            words += [f"result {value['Result']}"] if value.get("Result", "success") != "success" else []
            lines.append(f"{unit}: {', '.join(words)}")
        return up, lines

    def _units(self) -> tuple[str, ...]:
        return (SOCKET,) if content_of(self.folder / SOCKET) is not None else ()

    def _is_active(self, unit: str) -> bool:
        return self._asking(_systemctl("is-active", "--quiet", unit)).returncode == 0

    def _knows_steps(self) -> bool:
        """Whether the manager knows RestartSteps: it shows the properties that it knows, and nothing for others."""
        return "RestartSteps=" in self._asking(_systemctl("show", SERVICE, "--property=RestartSteps")).stdout


_WITHOUT = (
    "`hublet run` runs it in a terminal; over ssh or after su, `loginctl enable-linger` gives you a user manager; "
    "where there is none, put this in your shell's profile: (hublet run >/dev/null 2>&1 &)"
)


def manager_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for systemctl: XDG_RUNTIME_DIR is added where it is missing, as in a shell of su or cron."""
    found = dict(environment)
    usual = Path(f"/run/user/{os.getuid()}")
    if not found.get("XDG_RUNTIME_DIR") and (usual / "systemd" / "private").exists():
        found["XDG_RUNTIME_DIR"] = str(usual)
    return found


def _systemctl(*words: str) -> tuple[str, ...]:
    return ("systemctl", "--user", *words)


def _run(*words: str, may_fail: bool = False) -> Run:
    return Run(_systemctl(*words), may_fail)
