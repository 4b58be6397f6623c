"""Which hublets are installed. Two of them (say by pipx and in a virtual environment) sooner or later differ in
version."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from hublet.doctor.findings import Findings, ok, warning
from hublet.doctor.scene import Scene
from hublet.doctor.service import program_of, systemd_of


def installs(scene: Scene) -> Findings:
    """Every installation that PATH, pipx, uv, the service or the running daemon points to."""
    found: dict[Path, list[str]] = {}

    def add(place: Path | None, how: str) -> None:
        if place is not None:
            ways = found.setdefault(place, [])
            if how not in ways:
                ways.append(how)

    add(Path(sys.prefix).resolve(), "this command")
    for folder in scene.environment.get("PATH", "").split(os.pathsep):
        script = Path(folder, "hublet")
        if folder.startswith("/") and script.is_file() and os.access(script, os.X_OK):
            add(_environment_of(script), str(script))
    for how, environment in _tools(scene):
        if environment.is_dir():
            add(environment.resolve(), how)
    program = program_of(systemd_of(scene), scene.home) if sys.platform == "linux" else None
    if program is not None and program.exists():
        add(_environment_of(program), "the service")
    if scene.running and (prefix := scene.facts.get("process", {}).get("prefix")):
        add(Path(prefix).resolve(), "the daemon that runs")
    if len(found) == 1:
        yield ok("installs", f"one hublet, in {next(iter(found))}")
        return
    for place, ways in found.items():
        yield warning(
            "installs",
            f"hublet{_version(place)} in {place}: {', '.join(ways)}",
            "keep one, uninstall the others, then `hublet service install`",
        )


def _tools(scene: Scene) -> list[tuple[str, Path]]:
    environment, home = scene.environment, scene.home
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    pipx = (
        [Path(environment["PIPX_HOME"])] if environment.get("PIPX_HOME") else [data / "pipx", home / ".local" / "pipx"]
    )
    uv = Path(environment.get("UV_TOOL_DIR") or data / "uv" / "tools")
    return [*(("pipx", folder / "venvs" / "hublet") for folder in pipx), ("uv tool", uv / "hublet")]


def _environment_of(script: Path) -> Path:
    """The Python environment that a script belongs to: that of the interpreter in its first line, as pip, pipx and uv
    write it; else the folder above the script's own."""
    real = script.resolve()
    try:
        with real.open("rb") as file:
            head = file.read(4096).decode("utf-8", "replace")
    except OSError:
        return real.parent.parent
    found = re.match(r"#!\s*(/\S*/bin/python[\d.]*)\s*$", head, re.MULTILINE) or re.search(
        r"^'''exec' \"?(/[^\"\n]*?/bin/python[\d.]*)\"? ", head, re.MULTILINE
    )
    return Path(found[1]).parent.parent.resolve() if found else real.parent.parent


def _version(place: Path) -> str:
    for info in place.glob("lib/python3*/site-packages/hublet-*.dist-info"):
        return f" {info.name.removeprefix('hublet-').removesuffix('.dist-info')}"
    return ""
