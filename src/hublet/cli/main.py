"""`hublet`: the group of all commands, how a command finds its config, and how errors are printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from hublet import __version__
from hublet.core.errors import HubletError

if TYPE_CHECKING:
    from hublet.config.loading import Config

COMPLETE_VARIABLE = "_HUBLET_COMPLETE"
"""Set by the scripts of `hublet completion`: hublet then prints completions and does nothing else."""

_COMMANDS = {
    "audit": ("hublet.cli.audit", "audit"),
    "bundle": ("hublet.cli.bundle", "bundle"),
    "completion": ("hublet.cli.completion", "completion"),
    "config": ("hublet.cli.config", "config"),
    "demo": ("hublet.cli.demo", "demo"),
    "diff": ("hublet.cli.history", "diff"),
    "doctor": ("hublet.cli.doctor", "doctor"),
    "forget": ("hublet.cli.forget", "forget"),
    "export": ("hublet.cli.export", "export"),
    "import": ("hublet.cli.bundle", "import_"),
    "keys": ("hublet.cli.keys", "keys"),
    "lock": ("hublet.cli.account", "lock"),
    "log": ("hublet.cli.history", "log"),
    "login": ("hublet.cli.account", "login"),
    "man": ("hublet.cli.man", "man"),
    "mcp": ("hublet.cli.mcp", "mcp"),
    "pin": ("hublet.cli.history", "pin"),
    "point": ("hublet.cli.point", "point"),
    "quarantine": ("hublet.cli.quarantine", "quarantine"),
    "run": ("hublet.cli.run", "run"),
    "schema": ("hublet.cli.schema", "schema"),
    "service": ("hublet.cli.service", "service"),
    "secrets": ("hublet.cli.secrets", "secrets"),
    "show": ("hublet.cli.history", "show"),
    "status": ("hublet.cli.status", "status"),
    "store": ("hublet.cli.store", "store"),
    "sync": ("hublet.cli.sync", "sync"),
    "token": ("hublet.cli.token", "token"),
    "ui": ("hublet.cli.ui", "ui"),
    "unpin": ("hublet.cli.history", "unpin"),
    "unpoint": ("hublet.cli.point", "unpoint"),
    "unlock": ("hublet.cli.account", "unlock"),
    "watch": ("hublet.cli.watch", "watch"),
}


class _Group(click.Group):
    """Imports the module of a command only when that command is called, so that `hublet status` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's own signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  as above
        if cmd_name not in _COMMANDS:
            return None
        from importlib import import_module

        module, name = _COMMANDS[cmd_name]
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "file", type=click.Path(path_type=Path), metavar="FILE", help="The config file to use.")
@click.version_option(__version__, prog_name="hublet")
@click.pass_context
def cli(ctx: click.Context, file: Path | None) -> None:
    """Keep your Continue Hub assistants working when the Hub does not answer.

    hublet refreshes assistants, organizations and policy in the background, keeps them in a sealed local cache, and
    answers the Hub's API itself on http://localhost:3001.

    The config file is --config FILE, else $HUBLET_CONFIG, else hublet/config.yaml in your config directory.
    """
    from hublet.host.hardening import harden

    harden()  # most commands handle a key, a secret, or the cache itself
    ctx.obj = file
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def config_of(ctx: click.Context) -> Config:
    """The config for a command. Raises ConfigError."""
    from hublet.config.loading import find_config, load_config

    return load_config(find_config(ctx.find_root().obj, os.environ))


def fail(error: HubletError) -> NoReturn:
    """Print an error and its hint, and end with its exit code."""
    from hublet.cli.printing import printable  # a sentence may quote the Hub

    click.echo(printable(f"hublet: {error.message}"), err=True)
    if error.hint:
        click.echo(printable(f"  hint: {error.hint}"), err=True)
    sys.exit(error.exit_code)


def main() -> None:
    """Run a command. An error prints a sentence and a hint to standard error, and sets the exit code."""
    try:
        cli.main(prog_name="hublet", complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("aborted", err=True)
        sys.exit(130)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except HubletError as error:
        fail(error)
    except BrokenPipeError:
        # Whoever read our output has gone. Flushing at exit would fail with the same error once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
