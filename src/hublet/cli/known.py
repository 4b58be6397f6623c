"""Names for shell completion, asked of a running daemon. A slow or missing daemon gives no names, and no error."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

_PATIENCE = 0.5
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@")

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _slugs(ctx: click.Context) -> list[object]:
    scopes: Any = _asked(ctx, "/status").get("scopes", [])
    return [assistant["slug"] for scope in scopes for assistant in scope["assistants"]]


def _tokens(ctx: click.Context) -> list[object]:
    tokens: Any = _asked(ctx, "/tokens").get("tokens", [])
    return [token["name"] for token in tokens]


def _secrets(ctx: click.Context) -> list[object]:
    secrets: Any = _asked(ctx, "/secrets").get("secrets", [])
    return [secret["name"] for secret in secrets]


def _held(ctx: click.Context) -> list[object]:
    held: Any = _asked(ctx, "/status").get("quarantine", [])
    return [one["what"] for one in held]


def _completer(names: Callable[[click.Context], list[object]]) -> Completer:
    def complete(ctx: click.Context, _: click.Parameter, begun: str) -> list[str]:
        found: list[object] = []
        with suppress(Exception):  # the shell waits: whatever is wrong, the command itself reports it better
            found = names(ctx)
        # The shell takes each completion for a word. Names that would be several words, or be quoted, are left out.
        plain = {name for name in found if isinstance(name, str) and name and _PLAIN.issuperset(name)}
        return sorted(name for name in plain if name.startswith(begun))

    return complete


slugs, tokens, secrets, held = map(_completer, (_slugs, _tokens, _secrets, _held))
"""Completers for cached assistants, local tokens, secrets, and whatever is in quarantine."""


def _asked(ctx: click.Context, target: str) -> dict[str, Any]:
    """What a running daemon answers; the store itself is not opened for this. Raises HubletError."""
    from hublet.config.locating import usual_socket
    from hublet.reaching import SocketClient

    file = ctx.find_root().params.get("file")
    place = usual_socket(file, os.environ)
    if place is None:
        from hublet.config.loading import find_config, load_config

        place = load_config(find_config(file, os.environ)).locate().admin_socket
    return SocketClient(place).call("GET", target, patience=_PATIENCE)
