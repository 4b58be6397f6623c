"""`hublet keys`: shows where the key of the sealed cache is, and replaces it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.progress import busy

if TYPE_CHECKING:
    from hublet.config.loading import Config

_ANEW = "sealing everything anew"
_PATIENCE = 300.0
"""Seconds. A change of the key may take long, since somebody may have to unlock a keyring."""


@click.group()
def keys() -> None:
    """Look after the key that the cache is sealed with.

    The records in the cache are sealed with its data key, and that is sealed with a key-encryption key. The setting
    keys.source says where the key-encryption key is kept: file, keyring, passphrase or credential.
    """


@keys.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Show which source keeps the key, where, since when, and whether a recovery code opens the cache too."""
    with connected(config_of(ctx), opening=False) as client:
        value = client.call("GET", "/keys")
    if as_json:
        import orjson

        click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
        return
    from hublet.cli.printing import printable

    for line in described(value):
        click.echo(printable(line))


def described(value: dict[str, object]) -> list[str]:
    """What `hublet keys show` prints."""
    if value["source"] is None:
        return [f"There is no cache yet. Its key will be kept by the source {value['configured']}."]
    codes = {
        "none": "none: `hublet keys escrow` makes one",
        "present": f"made {_when(value['escrow_since'])}",
        "void": "void: the key was replaced since; `hublet keys escrow` makes another",
    }
    lines = [
        f"source:        {value['source']}",
        f"where:         {value['where']}",
        f"since:         {_when(value['since'])}",
        f"recovery code: {codes[str(value['escrow'])]}",
        f"older copies:  {_noticed(value)}",
    ]
    if value["configured"] != value["source"]:
        lines.append(f"The config says {value['configured']}: {_to_agree(value)}")
    if value["left_behind"]:
        still = "is still there" if value["left_behind_sure"] else "may still be there, which can't be told now"
        lines.append(f"A key of before {still}: {value['left_behind']}. This cache does not need it.")
    return lines


@keys.command()
@click.argument("source", type=click.Choice(["file", "keyring", "passphrase", "credential"]))
@click.pass_context
def move(ctx: click.Context, source: str) -> None:
    """Keep the key in SOURCE from now on: make a new key there, seal everything anew, and delete the old key.

    Copies that were made of the cache before can be opened with their old key only. If SOURCE keeps the key already, it
    is replaced by a new one; this is how to change the passphrase.
    """
    _replace(config_of(ctx), source)


@keys.command()
@click.pass_context
def rotate(ctx: click.Context) -> None:
    """Make a new key in the same source and seal everything anew. Icons get new addresses.

    Whatever needs the old key can't be opened any more: a backup without a copy of its key, a cache that was moved
    aside, another cache with the same key file.
    """
    _replace(config_of(ctx), None)


@keys.command()
@click.pass_context
def escrow(ctx: click.Context) -> None:
    """Print a recovery code, with which `hublet keys recover` opens the cache when its key is lost.

    It is shown only once. Keep it on paper or in a password manager, away from this machine. It replaces an earlier
    code, and becomes void when the key is moved or rotated.
    """
    config = config_of(ctx)
    with connected(config, opening=False) as client:
        body = _old_passphrase(config, client.call("GET", "/keys"))
        with busy("sealing the key with a recovery code"):
            code = client.call("POST", "/keys/escrow", body, patience=_PATIENCE)["code"]
    click.echo(code)
    click.echo("It is shown this once. It opens this cache for whoever has both.", err=True)


@keys.command()
@click.pass_context
def recover(ctx: click.Context) -> None:
    """Open the cache with its recovery code, and make a new key in the source that the config names.

    The code is asked for, or read from standard input when that is not a terminal. It is void afterwards.
    """
    config = config_of(ctx)
    typed = sys.stdin.isatty()
    code = click.prompt("Recovery code", hide_input=True, err=True) if typed else sys.stdin.read(4096)
    with connected(config, opening=False) as client:
        body: dict[str, object] = {"code": code} | _new_passphrase(config, config.keys.source, {})
        with busy(_ANEW):
            answer = client.call("POST", "/keys/recover", body, patience=_PATIENCE)
    _report(answer)


def _replace(config: Config, source: str | None) -> None:
    with connected(config, opening=False) as client:
        shown = client.call("GET", "/keys")
        body = _old_passphrase(config, shown, rotating=source is None, changing=source == "passphrase")
        if source is None:
            with busy(_ANEW):
                answer = client.call("POST", "/keys/rotate", body, patience=_PATIENCE)
        else:
            body |= {"source": source} | _new_passphrase(config, source, body)
            with busy(_ANEW):
                answer = client.call("POST", "/keys/move", body, patience=_PATIENCE)
    _report(answer)


def _old_passphrase(
    config: Config, shown: dict[str, object], *, rotating: bool = False, changing: bool = False
) -> dict[str, object]:
    """The present passphrase, if it is needed and the daemon can't read it from its file."""
    needed = shown["source"] == "passphrase" and (rotating or not shown["open"])
    file = config.keys.passphrase_file
    if not needed or (file is not None and not changing):
        return {}
    from hublet.keys.asking import Asker

    # While the passphrase is being changed its file already holds the new one.
    return {"passphrase": Asker(descriptor=config.keys.passphrase_fd if file is None else None).ask().reveal()}


def _new_passphrase(config: Config, source: str, body: dict[str, object]) -> dict[str, object]:
    if source != "passphrase" or config.keys.passphrase_file is not None:
        return {}
    from hublet.keys.asking import Asker

    descriptor = None if "passphrase" in body else config.keys.passphrase_fd  # a descriptor can be read only once
    return {"new_passphrase": Asker(descriptor=descriptor).ask(new=True).reveal()}


def _report(answer: dict[str, object]) -> None:
    from hublet.cli.printing import printable

    lines = [f"The cache has a new key, kept by {answer['where']}. Icons have new addresses."]
    if answer["source"] == "credential":
        lines.append(
            "Only the data key is new: the credential is the administrator's. An old copy of it opens this cache too."
        )
    if answer["escrow_void"]:
        lines.append("The recovery code is void; `hublet keys escrow` makes another.")
    if answer["lost_records"]:
        lines.append(f"{answer['lost_records']} records could not be read and were left out; a sync brings them back.")
    if answer["aside"]:
        lines.append(f"Caches that were moved aside ({answer['aside']}) may need the old key, which is gone.")
    if answer["was"] == "credential" != answer["source"]:
        lines.append("The credential is of no more use: take it out of the unit.")
    problems = answer["problems"]
    lines += [str(problem) for problem in problems] if isinstance(problems, list) else []
    if answer["configured"] != answer["source"]:
        lines.append(f"Now the config has to say it: {_to_agree(answer)}")
    for line in lines:
        click.echo(printable(line))


def _noticed(value: dict[str, object]) -> str:
    """Whether hublet would notice that an older copy of the whole cache was put back."""
    if not value["counted"]:
        return "not noticed when one is put back: this source can't hold a count of the commits"
    if value["count_problem"]:
        return f"not noticed: the count of the commits can't be kept ({value['count_problem']})"
    return "noticed when one is put back, by the count of the commits beside the key"


def _to_agree(value: dict[str, object]) -> str:
    return f"set keys.source to {value['source']}, or hublet will not open the cache when it starts."


def _when(at: object) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if isinstance(at, int) else "unknown"
