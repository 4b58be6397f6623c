"""`hublet watch`: prints events as they happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from hublet.cli.main import config_of
from hublet.cli.printing import json_of, printable
from hublet.core.errors import NotRunning

_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before each new try to reach a daemon that has ended. The last value is repeated."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def watch(ctx: click.Context, as_json: bool) -> None:
    """Print events as they happen, until Ctrl-C.

    There are events for a changed revision, for something that went stale, for a locked cache, for a Hub that is back
    and so on: the README lists all kinds. When the daemon is restarted this command waits for it, and then first prints
    what happened meanwhile.
    """
    from hublet.reaching import is_listening

    path = config_of(ctx).locate().admin_socket
    if not is_listening(path):
        hint = "`hublet service start` or `hublet run` starts it"
        raise NotRunning("no hublet is running, so nothing happens", hint=hint)
    show = _as_json if as_json else _for_people
    try:
        for event in following(path, say=lambda text: click.echo(text, err=True)):
            click.echo(show(event))
    except KeyboardInterrupt:
        return  # Ctrl-C is the usual end


def following(
    path: Path, *, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> Iterator[dict[str, Any]]:
    """All events from now on, across restarts of the daemon. Raises AdminError when too many listen already."""
    from hublet.reaching import SocketClient

    last: int | None = None
    tries = 0
    while True:
        try:
            for line in SocketClient(path).stream("GET", "/events" if last is None else f"/events/{last}"):
                if tries:
                    say("connected again")
                tries = 0
                if isinstance(line.get("last"), int) and last is None:
                    last = line["last"]
                if "kind" in line:
                    last = line["id"]
                    yield line
        except NotRunning:
            pass  # the daemon has ended, or is not back yet
        if not tries:
            say("the daemon has ended; waiting for it")
        sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
        tries += 1


def _as_json(event: dict[str, Any]) -> str:
    return json_of(event, indented=False)


def _for_people(event: dict[str, Any]) -> str:
    """`2026-01-02 03:04:05  revision  acme/dev [org_1]  changed`."""
    at = datetime.fromtimestamp(event["at"]).astimezone()
    what = event["what"] + (f" [{event['scope']}]" if event["scope"] else "")
    words = [f"{at:%Y-%m-%d %H:%M:%S}", f"{event['kind']:<9}", what, event["detail"]]
    return printable("  ".join(word for word in words if word.strip())).replace("\n", " ").rstrip()
