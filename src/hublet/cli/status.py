"""`hublet status`: shows what is cached, how old it is, and what is wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hublet.cli.client import Client, connected
from hublet.cli.main import config_of
from hublet.cli.printing import duration, in_columns, json_of, printable, together
from hublet.config.locating import usual_socket
from hublet.core.errors import ConfigError
from hublet.reaching import SocketClient, is_listening

if TYPE_CHECKING:
    from hublet.config.loading import Config


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show what is cached, how old it is, and what is wrong.

    Each scope is listed with its assistants, their age and grade, and the last error; above it the next sync.
    """
    with _reached(ctx) as client:
        value: dict[str, Any] = client.call("GET", "/status") | {"running_daemon": client.running}
    if as_json:
        click.echo(json_of(value))
        return
    for line in headline(value):
        click.echo(printable(line))
    for line in table(value) if value.get("scopes") else ():
        click.echo(line)
    for line in troubles(value):
        click.echo(printable(line.replace("\n", " ")))


@contextmanager
def _reached(ctx: click.Context) -> Iterator[Client]:
    """A client of the daemon at its usual socket, which is quick; else as the config says."""
    place = usual_socket(ctx.find_root().obj, os.environ)
    if place is not None and is_listening(place):
        yield SocketClient(place)
        return
    with connected(_config(ctx)) as client:
        yield client


def _config(ctx: click.Context) -> Config:
    """The config. If the file can't be used, but a daemon that started with an earlier one has its usual socket, the
    defaults: that daemon's status says what is wrong with the file. Raises ConfigError."""
    from hublet.config.loading import load_config

    try:
        return config_of(ctx)
    except ConfigError:
        usual = load_config(None)
        if not usual.locate().admin_socket.is_socket():
            raise
        return usual


def headline(value: dict[str, Any]) -> list[str]:
    """The lines above the table: the state, where it serves, when it syncs."""
    where = f"serving http://localhost:{value['port']}" if value["running_daemon"] else "not running: `hublet run`"
    lines = [f"hublet {value['version']}: {value['state']}, {where}", f"Hub: {value['hub']}"]
    if value.get("reason"):
        lines.append(f"  {value['reason']}" + (f" ({value['hint']})" if value.get("hint") else ""))
        return lines
    if not value["logged_in"]:
        lines.append("not logged in: run `hublet login`")
    if value.get("last_pass_at") is not None:
        ago = duration(time.time() - value["last_pass_at"])
        after = f", next in {duration(value['next_pass_in'])}" if value.get("next_pass_in") is not None else ""
        if after and not value.get("watched", True):
            after += " or when a client finds it old"
        if value.get("pace", "normal") != "normal":
            after = f"{after or ', none by itself'} ({_surroundings(value)})"
        failures = value["failures"]
        outcome = f", failed {failures} times in a row" if failures > 1 else ", failed" if failures else ""
        lines.append(f"last sync {ago} ago{outcome}{after}")
    requests = value.get("requests", {})
    if requests.get("answered_from_cache"):
        lines.append(
            f"since its start: {requests['answered_from_cache']} requests answered from the cache, "
            f"{requests['asked_of_hub']} asked of the Hub, {requests['passed_through']} passed through"
        )
    if value.get("lock"):
        # A lock that the user asked for stays whatever the Hub says; another one ends when the Hub takes a key again.
        why = value["lock"]["why"]
        how = "" if why == "asked" else "`hublet login`, or "
        lines.append(
            "locked: the cache is an older copy that was put back (`hublet store accept`, if it was you)"
            if why == "restored"
            else f"locked: no secret value is served ({how}`hublet unlock --offline`)"
        )
    if value.get("unsaved_since"):
        ago = duration(time.time() - value["unsaved_since"])
        lines.append(f"not saved to disk for {ago}: {value['unsaved_reason']}")
    if value.get("count_problem"):
        lines.append(f"older copies of the cache would not be noticed: {value['count_problem']}")
    if value.get("lost_records"):
        lines.append(f"{value['lost_records']} records of the cache can't be read; the next sync brings them back")
    return lines


def troubles(value: dict[str, Any]) -> list[str]:
    """The lines below the table: what could not be refreshed, and what needs the user's decision or attention."""
    lines = together([(trouble["what"], trouble["detail"]) for trouble in value.get("troubles", [])])
    lines += [
        f"in quarantine: {held['what']} ({_held(held)}); see `hublet quarantine`"
        for held in value.get("quarantine", [])
        if not held["rejected"]
    ]
    pinned = {f"{pin['what']} is pinned to {pin['revision']}" for pin in value.get("pins", [])}
    lines += [f"{line}; see `hublet log`" for line in sorted(pinned)]
    for moved in value.get("endpoints", []):
        ago = duration(time.time() - moved["at"])
        lines += [printable(f"{moved['what']}, {ago} ago: {line}") for line in moved["changes"]]
    lines += [f"config refused: {problem}" for problem in value.get("config_problems", [])]
    lines += [f"config: {line}" for line in value.get("config_pending", [])]
    lines += [f"secrets.override: {problem}" for problem in (value.get("override") or {}).get("problems", [])]
    export = value.get("export") or {}
    if export.get("problem"):
        lines.append(f"export: {export['problem']}")
    lines += [f"export: {path} was edited and is left as it is" for path in export.get("kept", [])]
    if value["counters"].get("other-key"):
        lines.append("clients sent another con_ key: all are answered from this account")
    return lines


def _surroundings(value: dict[str, Any]) -> str:
    reasons = {"battery": value["on_battery"], "a metered connection": value["metered"]}
    return f"on {' and '.join(reason for reason, holds in reasons.items() if holds)}"


def _held(held: dict[str, Any]) -> str:
    if held["what"] == "everything":
        return "the Hub refuses your account"
    return f"{len(held['changes'])} changed" if held["changes"] else f"{len(held['gone'])} gone"


def table(value: dict[str, Any]) -> list[str]:
    """The lines of the table: each scope with its assistants, then policy and organizations."""
    rows = [("scope", "assistants", "age", "grade", "last error")]
    for scope in value["scopes"]:
        name = scope["name"] + (" (proxied)" if scope["proxied"] else "")
        first, *more = [f"{one['slug']}  {one['title'] or ''}".rstrip() for one in scope["assistants"]] or ["none"]
        rows.append((name, first, duration(scope["age"]), scope["grade"] or "", scope["error"] or ""))
        rows += [("", title, "", "", "") for title in more]
    for name in ("policy", "organizations"):
        entry = value[name]
        if entry["grade"]:
            rows.append((name, "", duration(entry["age"]), entry["grade"], entry["error"] or ""))
    return in_columns(rows)
