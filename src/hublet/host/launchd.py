"""hublet as a launch agent of macOS: the property list, and the steps that install and remove it.

Checked against launchd.plist(5) and with a stand-in `launchctl`; it has not been run on a Mac.
"""

from __future__ import annotations

import os
import plistlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from hublet.core.errors import NoServiceManager
from hublet.host.activation import LAUNCHD_NAME
from hublet.host.steps import Asking, Make, Plan, Remove, Run, Step, Write, ask, content_of, seal_line, sealed

LABEL = "dev.hublet.agent"
LOG = Path("Library", "Logs", "hublet.log")

_DOCTYPE = '"http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
_COMMENT = f"<!-- Written by `hublet service install`. Untested on a Mac. {seal_line()} -->\n"
_SHOWN = re.compile(r"^\s*(state|pid|runs|last exit code) = (.+)$", re.MULTILINE)


def render(plan: Plan) -> str:
    """The text of the property list. All paths are absolute, because launchd expands neither `~` nor variables."""
    log = str(plan.home / LOG)
    value: dict[str, object] = {
        "Label": LABEL,
        "ProgramArguments": [str(plan.program), *plan.options, "run"],
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},  # started again after a failure, not after a stop
        "ThrottleInterval": 10,
        "ExitTimeOut": 20,
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Umask": 0o077,
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    if plan.socket:
        families = (("127.0.0.1", "IPv4"), ("::1", "IPv6")) if plan.ipv6 else (("127.0.0.1", "IPv4"),)
        value["Sockets"] = {
            LAUNCHD_NAME: [
                {
                    "SockNodeName": address,
                    "SockServiceName": str(plan.port),
                    "SockType": "stream",
                    "SockFamily": family,
                    "SockPassive": True,
                }
                for address, family in families
            ]
        }
    if plan.environment:
        value["EnvironmentVariables"] = dict(plan.environment)
    text = plistlib.dumps(value, sort_keys=False).decode()
    return sealed(text.replace(_DOCTYPE, _DOCTYPE + _COMMENT, 1))


class Launchd:
    """The steps of each verb of `hublet service`, which `cli/service.py` shows or performs. `asking` runs commands that
    change nothing."""

    def __init__(self, environment: Mapping[str, str], *, asking: Asking = ask) -> None:
        self.home = Path(environment.get("HOME") or Path.home())
        self.file = self.home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self._domain = f"gui/{os.getuid()}"
        self._target = f"{self._domain}/{LABEL}"
        self._asking = asking

    def check(self) -> None:
        """Raises NoServiceManager where this user has no session with a launchd of its own."""
        if shutil.which("launchctl") is None:
            raise NoServiceManager("launchd is not installed here", hint=_WITHOUT)
        if self._asking(("launchctl", "print", self._domain)).returncode:
            raise NoServiceManager("this user has no session that launchd looks after", hint=_WITHOUT)

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.file,)

    @property
    def installed(self) -> bool:
        return content_of(self.file) is not None

    def files(self, plan: Plan) -> dict[Path, str]:
        return {self.file: render(plan)}

    def install(self, plan: Plan, *, linger: bool = False) -> tuple[Step, ...]:  # noqa: ARG002  there is none here
        text, loaded = render(plan), self._is_loaded()
        steps: list[Step] = [Make(folder) for folder in plan.writable if not folder.is_dir()]
        if content_of(self.file) != text:
            if loaded:
                steps.append(Run(("launchctl", "bootout", self._target), may_fail=True))
            steps.append(Write(self.file, text))
            loaded = False
        steps.append(Run(("launchctl", "enable", self._target)))
        if not loaded:
            steps.append(Run(("launchctl", "bootstrap", self._domain, str(self.file))))
        return tuple(steps)

    def uninstall(self) -> tuple[Step, ...]:
        if not self.installed and not self._is_loaded():
            return ()
        steps: list[Step] = [Run(("launchctl", "bootout", self._target), may_fail=True), Remove(self.file)]
        if content_of(self.home / LOG) is not None:
            steps.append(Remove(self.home / LOG))
        return tuple(steps)

    def start(self) -> tuple[Step, ...]:
        load: list[Step] = []
        if not self._is_loaded():
            load = [Run(("launchctl", "bootstrap", self._domain, str(self.file)))]
        return (*load, Run(("launchctl", "kickstart", self._target)))

    def stop(self) -> tuple[Step, ...]:
        """Unload the agent together with its sockets: otherwise the next request would start it again."""
        return (Run(("launchctl", "bootout", self._target), may_fail=True),)

    def restart(self) -> tuple[Step, ...]:
        """Restart the agent. Its sockets stay, and requests wait there meanwhile."""
        return (Run(("launchctl", "kickstart", "-k", self._target)),)

    def logs(self, *, follow: bool, lines: int) -> tuple[str, ...]:
        return ("tail", "-n", str(lines), *(("-f",) if follow else ()), str(self.home / LOG))

    def state(self) -> tuple[bool, list[str]]:
        """Whether launchd has loaded the agent, and a line with what it says of it."""
        done = self._asking(("launchctl", "print", self._target))
        if done.returncode:
            return False, [f"{LABEL}: not loaded"]
        said = ", ".join(f"{name} {value}" for name, value in _SHOWN.findall(done.stdout))
        return True, [f"{LABEL}: {said or 'loaded'}"]

    def _is_loaded(self) -> bool:
        return self._asking(("launchctl", "print", self._target)).returncode == 0


_WITHOUT = (
    "`hublet run` runs it in a terminal; over ssh, log in at the screen once; "
    "or put this in your shell's profile: (hublet run >/dev/null 2>&1 &)"
)
