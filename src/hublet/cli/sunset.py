"""`hublet doctor --sunset`: shows what works when the Hub is gone for good, and what to change before."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.printing import json_of, printable

if TYPE_CHECKING:
    from hublet.doctor.sunset import Line

_STYLES = {"works": "green", "with a key": "green", "needs a key": "yellow", "can't work": "bold red"}
_SAID = {
    "works": "works",
    "with a key": "works, with a key you have",
    "needs a key": "needs a key",
    "can't work": "can't work",
}


def tell(ctx: click.Context, *, as_json: bool) -> None:
    """Print the report. Ends with exit code 1 when anything would break."""
    from hublet.config.managed import load_managed
    from hublet.doctor.scene import Scene
    from hublet.doctor.sunset import lines, look

    config = config_of(ctx)
    with connected(config) as client:
        facts: Any = client.call("GET", "/sunset", patience=300.0)
    places = config.locate()
    scene = Scene(os.environ, None, config, places, places.admin_socket, load_managed(), facts={"status": facts})
    found = lines(facts, look(scene))
    breaks = [line for line in found if line.breaks]
    if as_json:
        kinds = {kind: [line.to_plain() for line in found if line.kind == kind] for kind in ("files", "client")}
        value = {
            "breaks": bool(breaks),
            "hub": facts["hub"],
            "locked": facts["locked"],
            "assistants": facts["assistants"],
            "export": facts["export"],
            "files": kinds["files"][0],
            "clients": kinds["client"],
        }
        click.echo(json_of(value))
    else:
        _print(found, facts)
    if breaks:
        raise SystemExit(1)


def _print(found: list[Line], facts: Any) -> None:
    rows = [_row(before, line) for before, line in zip([None, *found], found, strict=False)]
    if sys.stdout.isatty():
        _draw(rows)
    else:
        from hublet.cli.printing import in_columns

        click.echo("\n".join(in_columns([("", "", "without the Hub", ""), *rows])))
    if facts["is_folder"]:
        click.echo("Your Hub is a folder: it goes on, whatever becomes of Continue's.")
    elif facts["locked"]:
        click.echo("The cache is locked: which values you have is not told. `hublet status` says what unlocks it.")
    elif all(not line.breaks for line in found):
        click.echo("Nothing would break.")


def _row(before: Line | None, line: Line) -> tuple[str, str, str, str]:
    again = before is not None and (before.kind, before.name) == (line.kind, line.name)
    return ("" if again else line.name, line.part, _SAID.get(line.standing or "", ""), line.why)


def _draw(rows: list[tuple[str, str, str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for heading, whole in (("", False), ("", False), ("without the Hub", True), ("", False)):
        table.add_column(heading, no_wrap=whole, overflow="fold")
    for cells in rows:
        name, part, standing, why = (Text(printable(cell.replace("\n", " "))) for cell in cells)
        style = next((_STYLES[key] for key, said in _SAID.items() if said == cells[2]), "")
        standing.stylize(style)
        table.add_row(name, part, standing, why)
    Console(highlight=False).print(table)
