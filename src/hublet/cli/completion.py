"""`hublet completion`: prints the script with which a shell completes hublet's commands."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    Save it in a file of its own: for bash ~/.local/share/bash-completion/completions/hublet, for zsh a file _hublet in
    a directory of your $fpath, for fish ~/.config/fish/completions/hublet.fish.
    """
    click.echo(script(shell), nl=False)


def script(shell: str) -> str:
    """The script. It completes `hublet` wherever that is on the PATH."""
    from click.shell_completion import BashComplete, FishComplete, ZshComplete

    from hublet.cli.main import COMPLETE_VARIABLE, cli

    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    kind = kinds[shell]
    # The template is filled in here, because click's `source()` would start a bash to find out its version.
    comp = kind(cli, {}, "hublet", COMPLETE_VARIABLE)
    return kind.source_template % comp.source_vars()
