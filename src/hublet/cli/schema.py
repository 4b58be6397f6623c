"""`hublet schema`: prints the JSON Schemas and the OpenAPI document of what hublet serves."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

_DOCUMENT = "openapi"


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from hublet.describe.document import names

    return [CompletionItem(name) for name in (*names(), _DOCUMENT) if name.lower().startswith(incomplete.lower())]


@click.command()
@click.argument("name", required=False, shell_complete=_names)
@click.option("--sample", is_flag=True, help="Print a sample in place of the schema.")
def schema(name: str | None, sample: bool) -> None:
    """Print the schemas of hublet's API.

    NAME is a request or an answer, which is printed as JSON Schema (2020-12); without it the names are listed. The name
    `openapi` prints the OpenAPI 3.1 document of the whole API, which a running hublet also serves at
    /hublet/v1/openapi.json. This command needs no running hublet.
    """
    from hublet.describe import document

    if name is None:
        if sample:
            raise click.UsageError("--sample needs the NAME of a schema")
        width = max(map(len, document.names()))
        for each in document.names():
            click.echo(f"{each:{width}}  {document.BODIES[each].title}")
        click.echo(f"{_DOCUMENT:{width}}  The OpenAPI document of everything that is served")
        return
    if name.lower() == _DOCUMENT:
        if sample:
            raise click.UsageError(f"--sample is of one schema, not of {_DOCUMENT}")
        _print(document.document())
        return
    found = next((each for each in document.names() if each.lower() == name.lower()), None)
    if found is None:
        raise click.BadParameter(f"there is no schema {name!r}: `hublet schema` lists them", param_hint="NAME")
    _print(document.sample(found) if sample else document.schema(found))


def _print(value: Any) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
