"""`hublet mcp`: serves the cache to programs that speak the Model Context Protocol."""

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
"""Seconds before each new try to listen to events. The last value is repeated."""


@click.command()
@click.pass_context
def mcp(ctx: click.Context) -> None:
    """Serve your assistants to an MCP client.

    It speaks on standard input and output until the client closes them. Everything is read-only and without secret
    values: assistants as resources, their rules and prompts as prompts, and tools to list and search them and to read
    policy and status. The MCP client starts this command itself. A hublet has to be running.
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
    # Ctrl-C ends the process at once: there is nothing to clean up, and a thread that waits for input can't be ended.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stdin.isatty():
        click.echo("hublet mcp speaks with a program that starts it, see the README; Ctrl-C ends it", err=True)
    try:
        asyncio.run(serve(_asking(path), _following(path)))
    except* BrokenPipeError:
        pass  # the client has gone, so nobody would read an error


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
                    if line:  # the first line means that the daemon is there; an empty object is a sign of life
                        wake()
            except (NotRunning, AdminError):
                pass  # the daemon has ended, is not back yet, or has too many listeners
            time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    return follow


def _quieten() -> None:
    """Log warnings to standard error, without their contents. Standard output is for the protocol."""
    import logging

    class Bare(logging.Formatter):
        """The level, the logger and the kind of exception only: a message may quote the client or the Hub."""

        def format(self, record: logging.LogRecord) -> str:
            kind = record.exc_info[0] if record.exc_info else None
            return f"hublet mcp: {record.levelname.lower()} in {record.name}{f': {kind.__name__}' if kind else ''}"

    handler = logging.StreamHandler()
    handler.setFormatter(Bare())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
