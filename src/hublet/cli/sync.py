"""`hublet sync`: makes a pass over the Hub now and prints what it changed."""

from __future__ import annotations

import click

from hublet.cli.client import Client, connected
from hublet.cli.main import config_of
from hublet.cli.progress import busy
from hublet.core.errors import SyncFailed


@click.command()
@click.option("--full", is_flag=True, help="Transfer everything, also what the Hub says is unchanged.")
@click.pass_context
def sync(ctx: click.Context, full: bool) -> None:
    """Refresh everything from the Hub now.

    A background refresh that is running is waited for first; another `hublet sync` that is running is joined. Ends with
    an error when the Hub answered nothing that only your account may see.
    """
    with connected(config_of(ctx)) as client:
        summary = report(client, full=full)
    if not summary.get("of_account"):
        problems = summary.get("problems")
        first = problems[0] if isinstance(problems, list) and problems else "the Hub did not answer"
        raise SyncFailed(f"nothing was refreshed: {first}", hint="what is cached goes on being served")


def report(client: Client, *, full: bool = False) -> dict[str, object]:
    """Make a pass, with a progress display on a terminal; print its summary and return it."""
    summary: dict[str, object] = {}
    with busy("asking the Hub") as tell:
        for line in client.stream("POST", "/sync/full" if full else "/sync"):
            if isinstance(line.get("summary"), dict):
                summary = line["summary"]  # type: ignore[assignment]  # checked above
            else:
                tell(f"{line.get('asked')}: {line.get('outcome')}")
    show(summary)
    return summary


def show(summary: dict[str, object]) -> None:
    click.echo(
        f"{summary.get('answered', 0)} of {summary.get('asked', 0)} questions answered; assistants: "
        f"{summary.get('added', 0)} added, {summary.get('changed', 0)} changed, "
        f"{summary.get('withdrawn', 0)} withdrawn ({summary.get('took', 0.0):.1f} s)"
    )
    from hublet.cli.printing import printable, together

    problems = summary.get("problems")
    told = [str(problem).partition(": ") for problem in problems] if isinstance(problems, list) else []
    for line in together([(what, reason) for what, _, reason in told]):
        click.echo(printable(f"  {line.removesuffix(': ')}"), err=True)
    endpoints = summary.get("endpoints")
    for line in endpoints if isinstance(endpoints, list) else []:
        click.echo(printable(f"  runs or sends elsewhere: {line}"), err=True)
    if summary.get("held"):
        click.echo("  something is in quarantine: see `hublet quarantine`", err=True)
