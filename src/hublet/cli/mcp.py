"""`hublet mcp`: what is cached, for programs that speak the Model Context Protocol."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from hublet.cli.main import config_of
from hublet.core.errors import AdminError, MissingExtra, NotRunning

_PATIENCE = 30.0
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0)
"""Seconds between two tries to hear of events; the last of them from then on."""


@click.command()
@click.pass_context
def mcp(ctx: click.Context) -> None:
    """Serve your assistants to an MCP client on standard input and output, until that is closed.

    Read-only, and without secret values: assistants as resources, their rules and prompts as prompts, tools to list and
    search them and to read policy and status. A client starts this command itself; it asks the daemon that runs.
    """
    try:
        from hublet.mcp.serving import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("hublet"):
            raise
        raise MissingExtra(
            "the Python package mcp, which `hublet mcp` speaks with, is not installed",
            hint="pip install 'hublet[mcp]'",
        ) from None
    import asyncio
    import signal

    path = config_of(ctx).locate().admin_socket
    _quieten()
    # Nothing has to be put in order at the end, and a thread that waits for input would hold it up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stdin.isatty():
        click.echo("hublet mcp speaks with a program that starts it, see the README; Ctrl-C ends it", err=True)
    try:
        asyncio.run(serve(_asking(path), _following(path)))
    except* BrokenPipeError:
        pass  # the client has gone, and with it whoever would read of it


def _asking(path: Path) -> Callable[[str], Mapping[str, Any]]:
    from hublet.reaching import SocketClient, is_listening

    def ask(target: str) -> Mapping[str, Any]:
        try:
            return SocketClient(path).call("GET", target, patience=_PATIENCE)
        except NotRunning as error:
            if is_listening(path):
                raise
            hint = "`hublet service start` or `hublet run` starts it"
            raise NotRunning("no hublet is running, so nothing can be answered", hint=hint) from error

    return ask


def _following(path: Path) -> Callable[[Callable[[], None]], None]:
    from hublet.reaching import SocketClient

    def follow(wake: Callable[[], None]) -> None:
        tries = 0
        while True:
            try:
                for line in SocketClient(path).stream("GET", "/events"):
                    tries = 0
                    if line:  # the first one says that the daemon is there; an empty one is a sign of life
                        wake()
            except (NotRunning, AdminError):
                pass  # it has ended, has not come back yet, or has too many who listen
            time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    return follow


def _quieten() -> None:
    """Warnings to standard error, without contents; standard output is the protocol's."""
    import logging

    class Bare(logging.Formatter):
        """Who has something to say, and of which kind. What is said can quote the client, or the Hub."""

        def format(self, record: logging.LogRecord) -> str:
            kind = record.exc_info[0] if record.exc_info else None
            return f"hublet mcp: {record.levelname.lower()} in {record.name}{f': {kind.__name__}' if kind else ''}"

    handler = logging.StreamHandler()
    handler.setFormatter(Bare())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
