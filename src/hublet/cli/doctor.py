"""`hublet doctor`: reports what is right and what is wrong, with what to do about each problem."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hublet.cli.printing import in_columns, json_of, printable

if TYPE_CHECKING:
    from hublet.doctor.findings import Check, Finding
    from hublet.doctor.scene import Scene

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Also write an archive (.tar.gz) for a bug report, without your secrets, names and paths.",
)
@click.option(
    "--sunset", is_flag=True, help="Instead, show what each assistant and client can do once the Hub is gone for good."
)
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool, bundle: Path | None, sunset: bool) -> None:
    """Check everything that hublet needs.

    Says what is wrong and what to do about it. Nothing is changed. The exit code is 1 when there is a problem; warnings
    do not count. With --sunset it is 1 when something would break.
    """
    if sunset:
        from hublet.cli.sunset import tell
        from hublet.core.errors import UsageError

        if bundle is not None:
            raise UsageError("--bundle goes with the other checks, not with --sunset")
        tell(ctx, as_json=as_json)
        return
    from hublet.doctor.checks import CHECKS

    if bundle is not None:
        from hublet.doctor.bundle import refuse_existing

        refuse_existing(bundle)
    scene, findings = _examined(ctx.find_root().obj, CHECKS)
    if bundle is not None:
        from hublet.doctor.bundle import write

        write(bundle, scene, findings)
    if as_json:
        value = {"problems": _count(findings, "problem"), "findings": [finding.to_plain() for finding in findings]}
        click.echo(json_of(value))
    else:
        _print(findings)
        if bundle is not None:
            click.echo(f"{bundle}: read it before you give it away")
    if _count(findings, "problem"):
        raise SystemExit(1)


def _examined(flag: Path | None, checks: Sequence[Check]) -> tuple[Scene, list[Finding]]:
    import logging

    from hublet.doctor.findings import run
    from hublet.doctor.scene import gather

    logging.disable(logging.CRITICAL)  # the findings say what these modules would log
    scene = gather(flag, os.environ)
    return scene, run(checks, scene)


def _count(findings: list[Finding], grade: str) -> int:
    return sum(finding.grade == grade for finding in findings)


def _print(findings: list[Finding]) -> None:
    """Print the findings in three columns, each fix below its message. Control characters in names are made visible."""
    problems, warnings = _count(findings, "problem"), _count(findings, "warning")
    if sys.stdout.isatty():
        _draw(findings)
    else:
        rows = [row for one in findings for row in ((one.grade, one.check, one.message), ("", "", _fix(one))) if row[2]]
        click.echo("\n".join(in_columns(rows)))
    click.echo(f"{_number(problems, 'problem')}, {_number(warnings, 'warning')}.")


def _draw(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        text = Text(printable(finding.message.replace("\n", " ")))
        if fix := _fix(finding):
            text.append("\n" + printable(fix.replace("\n", " ")), style="dim")
        table.add_row(Text(finding.grade, style=_STYLES[finding.grade]), Text(finding.check), text)
    Console(highlight=False).print(table)


def _fix(finding: Finding) -> str:
    return f"→ {finding.fix}" if finding.fix and finding.grade != "ok" else ""


def _number(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"
