"""`hublet audit`: shows the audit log, which says who asked for what."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.printing import json_of, printable
from hublet.core.errors import StoreError, UsageError

_KNOWN_NAMES = 3
"""How many names a line for people spells out; it counts the others."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--since", metavar="DURATION", help="Only what was asked in this time until now, such as 1h or 7d.")
@click.pass_context
def audit(ctx: click.Context, as_json: bool, since: str | None) -> None:
    """Show who asked for what, and whether it was answered.

    The log itself holds no names of assistants or secrets, only ids; this command looks the names up in the open cache.
    An id is shown as it is when its name is no longer cached, or when the cache has been given another key since.
    """
    from hublet.core.units import parse_duration

    try:
        start = time.time() - parse_duration(since) if since else 0.0
    except ValueError as error:
        raise UsageError(f"--since: {error}") from None
    with connected(config_of(ctx)) as client:
        told: dict[str, Any] = client.call("GET", "/audit")
    shown = _as_json if as_json else _for_people
    for line in _lines(Path(told["file"]), start):
        click.echo(shown(line, told["names"]))
    if told["lost"]:
        click.echo(f"{told['lost']} notes could not be written and are lost", err=True)


def _lines(path: Path, start: float) -> Iterator[dict[str, Any]]:
    """The lines of the log from `start` on, in seconds of the wall clock. Raises StoreError."""
    from hublet.door.audit import AuditFile

    try:
        for line in AuditFile(path).read():
            last = line.get("last", line.get("time"))
            try:
                at = datetime.fromisoformat(str(last)).timestamp()
            except ValueError:
                continue  # not a line that hublet wrote
            if at >= start:
                yield line
    except OSError as error:
        raise StoreError(f"the audit log can't be read: {error.strerror}", hint=f"it is {path}") from None


def _names(line: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    ids = line.get("ids")
    return [names.get(str(id_), f"#{str(id_)[:8]}") for id_ in ids] if isinstance(ids, list) else []


def _as_json(line: dict[str, Any], names: Mapping[str, str]) -> str:
    return json_of(line | ({"names": _names(line, names)} if "ids" in line else {}), indented=False)


def _for_people(line: dict[str, Any], names: Mapping[str, str]) -> str:
    """`2026-01-02 03:04:05  answered (fresh)  get-assistant acme/dev  same-user (uid 1000) at api  12 times`."""
    at = datetime.fromisoformat(str(line.get("time", line.get("last")))).astimezone()
    outcome = f"{line.get('outcome')}" + (f" ({line['detail']})" if line.get("detail") else "")
    known = _names(line, names)
    unnamed = line.get("more_ids", 0)
    more = len(known) - _KNOWN_NAMES + (unnamed if isinstance(unnamed, int) else 0)
    what = " ".join(
        [
            str(line.get("what")),
            *([str(line["about"])] if line.get("about") else []),
            ", ".join(known[:_KNOWN_NAMES]) + (f" and {more} more" if more > 0 else ""),
        ]
    ).rstrip()
    scope = f" [{line['scope']}]" if line.get("scope") else ""
    uid = f"uid {line['uid']}" if line.get("uid") is not None else "uid unknown"
    program = f", {line.get('program')} {line['pid']}" if line.get("pid") is not None else ""
    who = f"{line.get('who')} ({uid}{program}) at {line.get('door')}"
    times = f"  {line['count']} times" if line.get("count") else ""
    return printable(f"{at:%Y-%m-%d %H:%M:%S}  {outcome}  {what}{scope}  {who}{times}").replace("\n", " ")
