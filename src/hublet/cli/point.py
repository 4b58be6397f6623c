"""`hublet point` and `unpoint`: make clients ask hublet in place of the Hub, and undo that exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, get_args

import click

from hublet.cli.client import Client, connected
from hublet.cli.main import config_of
from hublet.cli.printing import printable
from hublet.core.errors import NotRunning, UsageError
from hublet.host import pointing

if TYPE_CHECKING:
    from hublet.config.loading import Config

_VSCODE = (
    "VS Code: under .local the extension looks for a sign-in of its staging environment; a production sign-in is\n"
    "invisible to it and you look logged out. `hublet unpoint` takes it back."
)
_JETBRAINS = "JetBrains: the sign-in stays, but tokens go on being refreshed at the production Hub."


@click.command()
@click.argument("clients", nargs=-1, type=click.Choice(get_args(pointing.Client)))
@click.option(
    "--shell", type=click.Choice(pointing.SHELLS), help="Only print the line to add to the start-up file of this shell."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")
@click.option(
    "--check",
    is_flag=True,
    help="Send the first requests of each client to hublet, and say which would work offline now.",
)
@click.pass_context
def point(
    ctx: click.Context, clients: tuple[pointing.Client, ...], shell: str | None, dry_run: bool, check: bool
) -> None:
    """Point clients at this hublet.

    CLIENTS are cn, jetbrains and vscode; cn when none is named. cn and the SDKs read the variable CONTINUE_API_BASE. A
    file in environment.d sets it for your whole session from the next login on (systemd); --shell prints a line to add
    to a start-up file instead. For the IDEs an empty file ~/.continue/.local is made. Existing files are never changed;
    `hublet unpoint` undoes exactly what was done.
    """
    config = config_of(ctx)
    with connected(config) as client:
        port = prove_ours(client, config)
    if shell:
        click.echo(pointing.shell_line(shell, port))
        return
    if check:
        report = list(_check(port))
        for line in report:
            click.echo(printable(line.text.replace("\n", " ")))
        raise SystemExit(0 if all(line.works for line in report) else 1)
    for name in clients or ("cn",):
        try:
            wanted = pointing.pointers(name, port, os.environ)
        except ValueError as error:
            raise UsageError(str(error)) from None
        with _told():
            _say(pointing.point(wanted, config.locate().data, dry_run=dry_run))
        if name in ("vscode", "jetbrains"):
            click.echo(_VSCODE if name == "vscode" else _JETBRAINS)
    if "cn" in (clients or ("cn",)):
        click.echo(f"For shells that are open now: {pointing.shell_line('bash', port)}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done and do nothing.")
@click.pass_context
def unpoint(ctx: click.Context, dry_run: bool) -> None:
    """Undo what `hublet point` did. A file that you have changed since is named and left alone."""
    with _told():
        done = pointing.unpoint(config_of(ctx).locate().data, dry_run=dry_run)
    _say(done)
    if not done:
        click.echo("Nothing is pointed here.")


@contextmanager
def _told() -> Iterator[None]:
    """Turns an OSError into a UsageError that names the file."""
    try:
        yield
    except OSError as error:
        hint = "see who owns it; nothing else was changed"
        raise UsageError(f"{error.filename}: {error.strerror}", hint=hint) from None


def _say(done: list[pointing.Done]) -> None:
    for one in done:
        click.echo(f"{one.path}: {one.outcome}")


def prove_ours(client: Client, config: Config) -> int:
    """The daemon's port, after checking that the daemon itself listens on both loopback addresses.

    Raises NotRunning when no daemon runs, or when another program listens on one of the addresses.
    """
    import secrets

    from hublet.host.proving import LOOPBACK, has_ipv6, said_at

    if not client.running:
        raise NotRunning("no hublet is running", hint="start `hublet run` first: clients would ask nobody")
    nonce = secrets.token_hex(16)
    expected = client.call("GET", f"/proof/{nonce}")
    port = int(str(expected["port"]))
    for address in LOOPBACK:
        if said_at(address, port, nonce) != expected["proof"] and (address != "::1" or has_ipv6()):
            shown = f"[{address}]" if ":" in address else address
            raise NotRunning(
                f"what listens on {shown}:{port} is not this hublet", hint=f"see who holds port {config.serve.port}"
            )
    return port


class _Line(NamedTuple):
    works: bool
    text: str


def _check(port: int) -> list[_Line]:
    """Send each client's first requests. A line works when it was answered; the text says if the answer was cached."""
    import http.client
    import urllib.error
    import urllib.request

    import orjson

    from hublet.host.proving import open_here

    lines: list[_Line] = []

    def ask(label: str, path: str) -> object:
        request = urllib.request.Request(f"http://localhost:{port}{path}")
        try:
            with open_here(request, timeout=15) as answer:
                cached = "hit" in answer.headers.get("Cache-Status", "")
                body = orjson.loads(answer.read())
                age = answer.headers.get("Age", "?")
                text = f"cached, {age} s old" if cached else "only now asked for; the next time it is cached"
                lines.append(_Line(True, f"ok       {label}: {text}"))
                return body
        except urllib.error.HTTPError as error:
            with error:
                lines.append(_Line(False, f"missing  {label}: {error.code} {_message(error.read(2000))}"))
        except (OSError, http.client.HTTPException) as error:
            lines.append(_Line(False, f"missing  {label}: {error}"))
        return None

    ask("policy (IDE)", "/ide/policy")
    found = ask("organizations (IDE, cn --org)", "/ide/list-organizations")
    ask("scope of the key (cn)", "/auth/scope")
    ask("default assistant (cn without --config)", "/ide/get-assistant/continuedev/default-cli-config")
    ask("personal assistants", "/ide/list-assistants?alwaysUseProxy=false")
    for organization in found.get("organizations", []) if isinstance(found, dict) else []:
        ask(f"assistants of {organization['slug']}", f"/ide/list-assistants?organizationId={organization['id']}")
    return lines


def _message(body: bytes) -> str:
    import orjson

    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    return str(value.get("message", "")) if isinstance(value, dict) else ""
