"""`hublet log`, `show`, `diff`, `pin` and `unpin`: earlier revisions, and which one is served."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any
from urllib.parse import quote

import click

from hublet.cli import known
from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.printing import json_of, printable
from hublet.core.errors import UsageError

_SLUG = "OWNER/PACKAGE"


@click.command()
@click.argument("what", required=False, metavar=f"[{_SLUG}|policy|organizations]", shell_complete=known.slugs)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def log(ctx: click.Context, what: str | None, as_json: bool) -> None:
    """List revisions, the newest first.

    Those of an assistant, a block, the policy or the organizations; without an argument the newest of all. A revision
    holds no secret value: only the name of a secret tells that its value changed. The settings history.keep and
    history.max_age say how much is kept.
    """
    with connected(config_of(ctx)) as client:
        path = f"/history/{quote(what, safe='')}" if what else "/history"
        entries: Any = client.call("GET", path)["entries"]
    if as_json:
        _as_json(entries)
        return
    if not entries:
        click.echo("Nothing is cached yet.")
        return
    _table(sorted(entries, key=lambda entry: entry["since"], reverse=True)[: None if what else 50])


@click.command()
@click.argument("revision", metavar=f"{_SLUG}[@REVISION]", shell_complete=known.slugs)
@click.option("--json", "as_json", is_flag=True, help="Print the Hub's answer as JSON.")
@click.option("--raw", is_flag=True, help="Print the YAML as its author wrote it, not unrolled.")
@click.pass_context
def show(ctx: click.Context, revision: str, as_json: bool, raw: bool) -> None:
    """Print a revision as unrolled YAML.

    References stand in place of secret values. REVISION is the name of a revision or the beginning of it, or
    `previous`; without it the present one is printed. This works also for an assistant that the Hub has withdrawn.
    """
    what, _, name = revision.partition("@")
    with connected(config_of(ctx)) as client:
        answer: Any = client.call("GET", f"/history/{quote(what, safe='')}/{quote(name or 'now', safe='')}")
    if as_json:
        _as_json(answer["content"])
    else:
        text = _text(answer["content"], raw=raw).rstrip("\n")
        click.echo(printable(text.expandtabs()) if sys.stdout.isatty() else text)


@click.command()
@click.argument("old", metavar=f"{_SLUG}[@REVISION]", shell_complete=known.slugs)
@click.argument("new", required=False, metavar=f"[{_SLUG}[@REVISION]]", shell_complete=known.slugs)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def diff(ctx: click.Context, old: str, new: str | None, as_json: bool) -> None:
    """Show how two revisions differ.

    Lists models, rules and tools that were added, removed or changed. With one argument, that revision is compared with
    the present one. Without a REVISION in it, the previous revision is compared with the present one.
    """
    if new is None:
        what, _, revision = old.partition("@")
        old, new = f"{what}@{revision or 'previous'}", what
    with connected(config_of(ctx)) as client:
        answer: Any = client.call("GET", f"/diff/{quote(old, safe='')}/{quote(new, safe='')}", patience=120.0)
    if as_json:
        _as_json(answer)
        return
    for side in ("old", "new"):
        one = answer[side]
        click.echo(printable(f"{'-+'[side == 'new']} {one['what']}@{one['revision']}  {_when(one['since'])}"))
    if not answer["differences"]:
        click.echo("No difference.")
    for one in answer["differences"]:
        click.secho(printable(f"{one['section']}: {one['name']} {one['how']}"), bold=True)
        for line in one["lines"]:
            colour = {"+": "green", "-": "red"}.get(line[:1])
            click.secho(printable(f"  {line}"), fg=colour)


@click.command()
@click.argument("revision", metavar=f"{_SLUG}@REVISION", shell_complete=known.slugs)
@click.option(
    "--for", "duration", metavar="DURATION", help="How long, such as 3d or 12h; until `hublet unpin` if left out."
)
@click.pass_context
def pin(ctx: click.Context, revision: str, duration: str | None) -> None:
    """Serve this revision of an assistant until it is unpinned.

    It is served whatever the Hub says meanwhile. `@previous` goes back by one revision, `@now` keeps the present one.
    Secrets have their present values all the same. An assistant that the Hub withdraws is no longer served, even if it
    is pinned.
    """
    from hublet.core.units import parse_duration

    what, _, name = revision.partition("@")
    if not name:
        raise UsageError(f"{revision} names no revision", hint=f"`hublet log {what}` lists them; or {what}@previous")
    value: dict[str, object] = {"what": what, "revision": name}
    if duration is not None:
        try:
            value["for"] = parse_duration(duration)
        except ValueError as error:
            raise UsageError(f"--for: {error}") from None
    with connected(config_of(ctx)) as client:
        answer: Any = client.call("POST", "/pins", value)
    until = f" until {_when(answer['until'])}" if answer["until"] else ""
    click.echo(printable(f"{what} is pinned to {answer['revision']}{until}."))
    for left in answer["left"]:
        click.echo(printable(f"  not in {left}: no revision of that time is known there".replace("\n", " ")))


@click.command()
@click.argument("what", metavar=_SLUG, shell_complete=known.slugs)
@click.pass_context
def unpin(ctx: click.Context, what: str) -> None:
    """Serve an assistant as the Hub sends it again."""
    with connected(config_of(ctx)) as client:
        client.call("DELETE", f"/pins/{quote(what, safe='')}")
    click.echo(f"{what} is not pinned any more.")


def _as_json(value: object) -> None:
    click.echo(json_of(value))


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _text(content: Any, *, raw: bool) -> str:
    """A revision as text: unrolled YAML, or with `raw` as its author wrote it."""
    from hublet.core import yamlwrite

    match content:
        case {"configResult": {"config": config}, **rest}:
            written = rest.get("rawYaml")
            if raw or config is None:
                return str(written or "")
            value = config
        case {"content": str(text)}:
            return text
        case _:
            value = content
    return yamlwrite.dump(value)


def _table(entries: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("since", "until")
    table.add_column("what", overflow="fold")
    table.add_column("in")
    table.add_column("revision", no_wrap=True)
    table.add_column("besides")
    for one in entries:
        besides = [f"secret {name} changed" for name in one["secrets"]]
        if one["pinned"]:
            until = f" until {_when(one['pinned_until'])}" if one["pinned_until"] else ""
            besides.append(f"pinned{until}")
        until = _when(one["until"]) if one["until"] else "now"
        cells = (_when(one["since"]), until, one["what"], one["variant"], one["revision"], "\n".join(besides))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    Console(highlight=False).print(table)
