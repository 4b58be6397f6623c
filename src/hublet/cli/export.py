"""`hublet export`: your assistants as files that a client without Hub code reads."""

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
              help="A file an assistant and config.yaml, config.yaml alone, or Agent Skills.")  # fmt: skip
@click.option("--default", metavar="OWNER/PACKAGE",
              help="The assistant in config.yaml; the first of your list if left out.")  # fmt: skip
@click.option("--env", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the values of your secrets to FILE, in clear, mode 600.")  # fmt: skip
@click.option("--secrets", type=click.Choice(["none", "inline"]), default="none", show_default=True,
              help="References to secrets, or their values in the files themselves.")  # fmt: skip
@click.option("--withdrawn", is_flag=True, help="Also your own assistants that the Hub no longer has.")
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
    """Write your assistants to DIRECTORY as files that need no Hub: fully unrolled YAML, one an assistant.

    Models that only the Hub could answer become direct ones again; which keys you have to get for them is said here and
    in the files. The same assistants give the same bytes. A file that you have edited is left as it is, and the new one
    is put beside it as NAME.hublet. ~/.continue is where Continue's clients look.

    As Agent Skills: a folder an assistant, its rules and prompts in SKILL.md, and one on how to ask hublet itself.
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
        if secrets != "inline":  # its lines would be values
            click.echo(printable(_difference(directory, name, beside)), nl=False)
    for name in answer["left"]:
        click.echo(printable(f"{name}: its value can't be written to an env file"), err=True)
    _report(answer["report"])


def _add(done: Any, folder: Path, more: Any) -> None:
    for name in ("written", "unchanged", "removed"):
        getattr(done, name).extend(str(folder / path) for path in getattr(more, name))
    done.kept |= {str(folder / path): str(folder / beside) for path, beside in more.kept.items()}


def _report(report: list[dict[str, Any]]) -> None:
    """A line for each thing that does not work by itself."""
    for one in report:
        name = one["slug"] + (f" ({one['place']})" if one["place"] else "")
        if one["standing"] == "can't work" and not one["parts"]:
            click.echo(printable(f"{name}: not written: {'; '.join(one['notes'])}"), err=True)
        for part in one["parts"]:
            if part["standing"] in ("needs a key", "can't work"):
                click.echo(printable(f"{name}, {part['section']} {part['name']}: {part['standing']}: {part['why']}"))


def _difference(directory: Path, name: str, beside: str) -> str:
    """How an edited file and the new one differ; nothing of an env file, whose lines are values."""
    from difflib import unified_diff

    if Path(name).is_absolute():
        return ""
    try:
        old, new = ((directory / path).read_text(errors="replace").splitlines(keepends=True) for path in (name, beside))
    except OSError:
        return ""
    return "".join(list(unified_diff(old, new, name, beside, n=1))[:60])
