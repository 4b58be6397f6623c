"""What works once the Hub is gone for good: each assistant, the exported files, and what each client has to change.

cn up to 1.5.45 and the extensions 1.x talk to a Hub: they go on working with a hublet that has a cache. cn from 1.5.47
and the extensions 2.x have no code for a Hub: they read a fully unrolled `config.yaml`, and `.env`, in Continue's
folder.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hublet.core.leaving import Standing
from hublet.core.units import duration
from hublet.core.values import dataclass
from hublet.doctor.clients import clients
from hublet.doctor.scene import Scene

_LONG = 365 * 24 * 3600.0
"""Seconds. Secret values that are served for this long without the Hub count as permanent."""
_LAST_CN, _LAST_EXTENSION = (1, 5, 46), (1,)
"""The last versions that can talk to a Hub."""
_EDITORS = (".vscode", ".vscode-insiders", ".vscode-oss", ".vscode-server", ".cursor", ".windsurf")
_PACKAGE = "@continuedev/cli"
_BAD: tuple[Standing, ...] = ("needs a key", "can't work")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report. `kind` is assistant, files or client; `part` is a part of the assistant, a folder or a
    version. `standing` is None for a mere remark, and for a client that was not found."""

    kind: str
    name: str
    part: str
    standing: Standing | None
    why: str = ""

    @property
    def breaks(self) -> bool:
        return self.standing in _BAD

    def to_plain(self) -> dict[str, str | None]:
        return {"name": self.name, "part": self.part, "standing": self.standing, "why": self.why}


@dataclass(frozen=True, slots=True)
class Installed:
    """The clients on this machine. `folder` is Continue's own, whose files the new clients read. `cn` and `vscode` are
    the installed versions. `here` says whether CONTINUE_API_BASE leads to this hublet, `marked` whether `.local` leads
    the IDEs here, `by_hand` whether `hublet export` has written files into the folder."""

    folder: Path
    home: Path
    cn: str | None = None
    vscode: tuple[str, ...] = ()
    here: bool = False
    marked: bool = False
    by_hand: bool = False

    def short(self, path: Path) -> str:
        return f"~/{path.relative_to(self.home)}" if path.is_relative_to(self.home) else str(path)

    @property
    def settings(self) -> str:
        folder = self.short(self.folder)
        return f"export.directory: {folder} and export.env: {folder}/.env in the config"


def look(scene: Scene) -> Installed:
    """Look for the clients on the disk, without starting any."""
    folder = Path(scene.environment.get("CONTINUE_GLOBAL_DIR") or scene.home / ".continue")
    led = {finding.check for finding in clients(scene) if finding.leads_here}
    found = (
        path.name for editor in _EDITORS for path in (scene.home / editor / "extensions").glob("continue.continue-*")
    )
    versions = {match[1] for name in found if (match := re.match(r"continue\.continue-(\d+(?:\.\d+)*)", name))}
    return Installed(
        folder,
        scene.home,
        _cn(scene.environment.get("PATH", "")),
        tuple(sorted(versions, key=_numbers)),
        "clients.cn" in led,
        "clients.ide" in led,
        (folder / ".hublet-export.json").exists(),
    )


def _cn(path: str) -> str | None:
    """The version of the `cn` that a shell would start; None when there is none, or it is another program of that
    name."""
    program = shutil.which("cn", path=path)
    for place in Path(program).resolve().parents if program else ():
        try:
            package = json.loads((place / "package.json").read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(package, dict) and package.get("name") == _PACKAGE:
            return str(package.get("version"))
    return None


def lines(facts: Mapping[str, Any], installed: Installed) -> list[Line]:
    """All lines of the report. `facts` is what `serve/sunset.py` returns."""
    files = _files(facts, installed)
    return [*_assistants(facts), files, *_clients(facts, installed, files)]


def _assistants(facts: Mapping[str, Any]) -> Iterable[Line]:
    if not facts["assistants"]:
        yield Line("assistant", "none", "", "can't work", "nothing is cached: `hublet sync` while the Hub answers")
    for one in facts["assistants"]:
        name = one["slug"] + (f" ({one['place']})" if one["place"] else "")
        for part in one["parts"]:
            what = part["name"] if part["section"] == "models" else f"{part['section']} {part['name']}".rstrip()
            yield Line("assistant", name, what, part["standing"], part["why"])
        if one["standing"] == "can't work" and not one["parts"]:
            yield Line("assistant", name, "", "can't work", "; ".join(one["notes"]))
            continue
        if not one["parts"]:
            yield Line("assistant", name, "", one["standing"])
        for note in one["notes"]:
            yield Line("assistant", name, "", None, f"not with the Hub either: {note}")


def _files(facts: Mapping[str, Any], installed: Installed) -> Line:
    """Whether the files that the new clients read exist, and are kept up to date with the cache."""
    wanted, folder = facts["export"], installed.folder
    shown = installed.short(folder)
    if not facts["allowed"]:
        return Line("files", "export", shown, "can't work", "files may not be handed over on this machine")
    if wanted is None:
        more = "those that `hublet export` wrote there are not kept up to date; " if installed.by_hand else ""
        return Line("files", "export", shown, None, f"{more}{installed.settings} keep them there")
    place = installed.short(Path(wanted["directory"]))
    if wanted.get("layout") == "skills":  # an older daemon does not name a layout
        why = f"Agent Skills, which no client of Continue reads; another layout and {installed.settings} keep its files"
        return Line("files", "export", place, None, why)
    if wanted["problem"]:
        return Line("files", "export", place, "can't work", wanted["problem"])
    if absent := [*wanted["missing"], *wanted["older"]]:
        why = f"not up to date: {_listed(absent)}; a running hublet writes them"
        return Line("files", "export", place, "can't work", why)
    if wanted["edited"]:
        why = f"edited, and left as they are: {_listed(wanted['edited'])}; the new ones are beside them"
        return Line("files", "export", place, "works", why)
    if place != shown:
        return Line("files", "export", place, "works", f"up to date, but the clients look in {shown}")
    env = "" if _has_values(facts, installed) else f"; the values are wanted in {shown}/.env: {installed.settings}"
    return Line("files", "export", place, "works", f"up to date{env}")


def _wants_values(facts: Mapping[str, Any]) -> bool:
    return any(part["standing"] == "with a key" for one in facts["assistants"] for part in one["parts"])


def _has_values(facts: Mapping[str, Any], installed: Installed) -> bool:
    """Whether the clients find the secret values that they need, in the .env file that all of them read."""
    return not _wants_values(facts) or facts["export"]["env"] == str(installed.folder / ".env")


def _clients(facts: Mapping[str, Any], installed: Installed, files: Line) -> Iterable[Line]:
    there = files.standing == "works" and Path(facts["export"]["directory"]) == installed.folder
    whole = there and _has_values(facts, installed)
    config, switch = f"{installed.short(installed.folder)}/config.yaml", installed.settings
    cached = _from_cache(facts)

    def new(name: str, version: str, how: str) -> Line:
        why = f"reads {config}{how}" if whole else f"reads {config} and .env beside it: {switch}"
        return Line("client", name, version, "works" if whole else "can't work", why)

    def old(name: str, version: str, points: bool, verb: str, update: str) -> Line:
        if points and not cached:
            return Line("client", name, version, "works", "goes on from hublet's cache")
        why = cached if points else f"asks the Hub itself: {verb}"
        return Line("client", name, version, "can't work", f"{why}; or {update} and the exported files")

    if installed.cn is None:
        why = "none on the PATH. Up to 1.5.45: `hublet point cn`. From 1.5.47: the exported files"
        yield Line("client", "cn", "", None, why)
    elif _numbers(installed.cn) > _LAST_CN:
        yield new("cn", installed.cn, ", or `cn --config FILE` of agents")
    else:
        yield old("cn", installed.cn, installed.here, "`hublet point cn`", "take cn 1.5.47")
    if not installed.vscode:
        yield Line("client", "VS Code", "", None, "none found. 1.x: `hublet point vscode`. 2.x: the exported files")
    for version in installed.vscode:
        if _numbers(version)[:1] > _LAST_EXTENSION:
            yield new("VS Code", version, " each second")
        else:
            yield old("VS Code", version, installed.marked, "`hublet point vscode`", "take 2.x")
    why = "not looked for. With Hub code: `hublet point jetbrains`. Without: the exported files"
    yield Line("client", "JetBrains", "", None, why)
    why = (
        f"lists go on with basePath http://localhost:{facts['port']}; prompts of `Continue.from` go to the Hub's"
        " model-proxy and end with it: call the providers themselves"
    )
    yield Line("client", "SDK", "", None, why)


def _from_cache(facts: Mapping[str, Any]) -> str:
    """Why the cache can't keep the old clients working for good; empty when it can."""
    if facts["locked"]:
        return "the cache is locked: `hublet status` says what unlocks it"
    if facts["max_stale"] >= _LONG or not _wants_values(facts):
        return ""
    late = duration(facts["max_stale"])
    return f"from hublet's cache, whose secret values end {late} after the Hub: secrets.max_stale: 3650d"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in re.findall(r"\d+", version)[:3])


def _listed(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
