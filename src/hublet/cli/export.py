"""`hublet export`: writes your assistants to files, for clients that do not talk to a Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hublet.cli.client import connected
from hublet.cli.main import config_of
from hublet.cli.printing import json_of, printable
from hublet.core.errors import UsageError


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--layout", type=click.Choice(["agents", "single", "skills"]), default="agents", show_default=True,
              help="agents: a file for each one, and config.yaml; single: config.yaml alone; "
              "skills: Agent Skills.")  # fmt: skip
@click.option("--default", metavar="OWNER/PACKAGE",
              help="The assistant to put into config.yaml; the first of your list if left out.")  # fmt: skip
@click.option("--env", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the values of your secrets to FILE, in clear, mode 600.")  # fmt: skip
@click.option("--secrets", type=click.Choice(["none", "inline"]), default="none", show_default=True,
              help="none: references to secrets; inline: the values, in the files themselves.")  # fmt: skip
@click.option("--withdrawn", is_flag=True, help="Also write those of your own assistants that the Hub no longer has.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
@click.pass_context
def export(
    ctx: click.Context,
    directory: Path,
    layout: str,
    default: str | None,
    env: Path | None,
    secrets: str,
    withdrawn: bool,
    as_json: bool,
) -> None:
    """Write your assistants to files that need no Hub.

    DIRECTORY gets fully unrolled YAML, a file for each assistant. Models that go through the Hub's proxy are changed
    back to call their provider directly; the keys that you need for them are named in the output and in the files. The
    same assistants always give the same bytes. A file that you have edited is left as it is, and the new one is written
    beside it as NAME.hublet. Continue's clients read ~/.continue.

    As Agent Skills, each assistant gets a folder with its rules and prompts in SKILL.md; one more skill tells how to
    ask hublet itself.
    """
    if env is not None and secrets == "inline":
        raise UsageError("the values are either in the files or in --env FILE, not both")
    if layout == "skills" and (env is not None or secrets == "inline" or default is not None):
        raise UsageError("skills have no values and no default", hint="leave out --env, --secrets and --default")
    values = "inline" if secrets == "inline" else "env" if env is not None else "none"
    wish = {"layout": layout, "default": default, "values": values, "withdrawn": withdrawn}
    with connected(config_of(ctx)) as client:
        path = "/export" if values == "none" else "/export/values"
        answer: Any = client.call("POST", path, wish, patience=300.0)
    from hublet.export.files import Written, write_beside, write_files

    done = write_files(directory, answer["files"])
    if env is not None:
        _add(done, env.absolute().parent, write_beside(env.absolute(), answer["env"]))
    if as_json:
        result = {name: getattr(done, name) for name in Written.__dataclass_fields__}
        click.echo(json_of({**result, "report": answer["report"]}))
        return
    click.echo(f"{len(done.written)} written, {len(done.unchanged)} unchanged, {len(done.removed)} removed")
    for name, beside in done.kept.items():
        click.echo(printable(f"{name} was edited: left as it is, the new one is {beside}"))
        if secrets != "inline":  # else the lines would show secret values
            click.echo(printable(_difference(directory, name, beside)), nl=False)
    for name in answer["left"]:
        click.echo(printable(f"{name}: its value can't be written to an env file"), err=True)
    _report(answer["report"])


def _add(done: Any, folder: Path, more: Any) -> None:
    for name in ("written", "unchanged", "removed"):
        getattr(done, name).extend(str(folder / path) for path in getattr(more, name))
    done.kept |= {str(folder / path): str(folder / beside) for path, beside in more.kept.items()}


def _report(report: list[dict[str, Any]]) -> None:
    """Print a line for each part that does not work without the Hub as it is."""
    for one in report:
        name = one["slug"] + (f" ({one['place']})" if one["place"] else "")
        if one["standing"] == "can't work" and not one["parts"]:
            click.echo(printable(f"{name}: not written: {'; '.join(one['notes'])}"), err=True)
        for part in one["parts"]:
            if part["standing"] in ("needs a key", "can't work"):
                click.echo(printable(f"{name}, {part['section']} {part['name']}: {part['standing']}: {part['why']}"))


def _difference(directory: Path, name: str, beside: str) -> str:
    """How an edited file and the new one differ. Empty for an env file, since its lines hold secret values."""
    from difflib import unified_diff

    if Path(name).is_absolute():
        return ""
    try:
        old, new = ((directory / path).read_text(errors="replace").splitlines(keepends=True) for path in (name, beside))
    except OSError:
        return ""
    return "".join(list(unified_diff(old, new, name, beside, n=1))[:60])
