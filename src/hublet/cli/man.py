"""`hublet man`: makes the manual page hublet(1) from the help of the commands, the settings and the errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import click

from hublet import __version__


@click.command()
def man() -> None:
    """Print the manual page hublet(1).

    It is roff, for `man -l` or for a file hublet.1 in ~/.local/share/man/man1.
    """
    from hublet.cli.main import cli

    with click.Context(cli, info_name="hublet") as ctx:
        click.echo(page(ctx), nl=False)


def page(ctx: click.Context) -> str:
    """The manual page of a context's command, in the format of man(7)."""
    command = ctx.command
    first, *more = _paragraphs(command.help)
    lines = [
        # Without a date, so that the same version always prints the same page.
        f'.TH HUBLET 1 "" "hublet {__version__}" "User Commands"',
        ".SH NAME",
        rf"hublet \- {_text(first.rstrip('.')[0].lower() + first.rstrip('.')[1:])}",
        ".SH SYNOPSIS",
        ".B hublet",
        r"[\fB\-\-config\fR \fIFILE\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        *_body(more),
        ".SH OPTIONS",
        *_options(command, ctx),
        ".SH COMMANDS",
    ]
    for below in _commands(ctx):
        lines += _command(below)
    lines += [".SH CONFIGURATION", *_settings(), ".SH EXIT STATUS", *_exit_codes()]
    lines += [".SH ENVIRONMENT", *_terms(_ENVIRONMENT), ".SH FILES", *_terms(_FILES)]
    return "\n".join(lines) + "\n"


_ENVIRONMENT = (
    ("HUBLET_CONFIG", "The config file to use when there is no --config."),
    ("CONTINUE_API_KEY", "A Hub key that overrides the stored one."),
    ("HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE", "The way to the Hub."),
    ("NO_COLOR", "Switches colours off, as a pipe does."),
)
_FILES = (
    ("~/.config/hublet/config.yaml", "The config file, on Linux."),
    ("~/.local/share/hublet", "The sealed cache."),
    ("~/.local/state/hublet-key/kek", "The key of the key source `file'."),
    ("/etc/hublet/managed.yaml", "What the administrator has settled."),
)


def _commands(ctx: click.Context) -> Iterator[click.Context]:
    """The contexts of all commands of a group, each group before its members."""
    group = ctx.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        if not command.hidden:
            below = click.Context(command, parent=ctx, info_name=name)
            yield below
            yield from _commands(below)


def _command(ctx: click.Context) -> list[str]:
    command = ctx.command
    words = " ".join(_text(word) for word in command.collect_usage_pieces(ctx))
    name = _text(ctx.command_path)
    lines = [f".SS {name}", f".B {name}", *([words] if words else []), ".PP", *_body(_paragraphs(command.help))]
    return lines + _options(command, ctx)


def _options(command: click.Command, ctx: click.Context) -> list[str]:
    records = [param.get_help_record(ctx) for param in command.get_params(ctx) if isinstance(param, click.Option)]
    return list(_terms((names, text or "") for names, text in filter(None, records)))


def _settings() -> Iterator[str]:
    from hublet.config.settings import settings

    yield "Keys of the config file, with their defaults."
    yield from _terms((f"{setting.path}: {setting.default}", setting.doc) for setting in settings)


def _exit_codes() -> Iterator[str]:
    """The exit codes, taken from the tree in the docstring of core/errors.py; one entry for each code."""
    from hublet.core import errors

    codes: dict[int, list[str]] = {0: ["All went well."]}
    for code, text in re.findall(r"(?:[├└]── ?\w+|HubletError) +(\d+) +(\S.*)", errors.__doc__ or ""):
        codes.setdefault(int(code), []).append(f"{text[0].upper()}{text[1:].rstrip('.')}.")
    codes[1] = ["Another error."]
    yield from _terms((str(code), " ".join(texts)) for code, texts in sorted(codes.items()))


def _terms(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in pairs:
        yield from (".TP", rf"\fB{_text(term)}\fR", *_lines(text or term))


def _body(paragraphs: Iterable[str]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        yield from ([".PP"] if number else [])
        yield from _lines(paragraph)


def _paragraphs(text: str | None) -> list[str]:
    """The paragraphs of a help text, each as one line. click's mark for a paragraph without wrapping is left out."""
    parts = re.split(r"\n\s*\n", (text or "").replace("\b", "").strip())
    return [" ".join(part.split()) for part in parts if part.strip()]


def _lines(text: str) -> Iterator[str]:
    """One line for each sentence: so roff sets the space between sentences."""
    for sentence in re.split(r"(?<=[.?!]) +(?=[A-Z])", " ".join(text.split())):
        yield _text(sentence)


def _text(text: str) -> str:
    """Escaped for roff: backslashes, hyphens that can be copied, and a dot at the beginning of a line."""
    found = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    named = {"·": r"\(bu", "…": "...", "’": r"\(cq", "→": r"\(->", "–": r"\(en", "×": r"\(mu"}
    for plain, escape in named.items():
        found = found.replace(plain, escape)
    return rf"\&{found}" if found.startswith(".") else found
