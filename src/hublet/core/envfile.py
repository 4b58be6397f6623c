"""Writing a `.env` file that Continue's clients (with npm's dotenv) and hublet's own `secrets.override` read alike."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hublet.core.secretstr import SecretStr

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@%+=\\-]*")


def dump_env(values: Mapping[str, SecretStr], heading: str) -> tuple[str, tuple[str, ...]]:
    """(text of the file, names whose values can't be written): a line for each value in the order of the names, below
    the heading as a comment."""
    lines, left = [f"# {line}" for line in heading.splitlines()], []
    for name, value in sorted(values.items()):
        text = quoted(value.reveal())
        if text is None:
            left.append(name)
        else:
            lines.append(f"{name}={text}")
    return "\n".join(lines) + "\n", tuple(left)


def quoted(value: str) -> str | None:
    """A value as it stands after `NAME=`. None for a value that can't be quoted so that every reader reads it alike:
    the only escapes that dotenv knows are those of line ends."""
    if _PLAIN.fullmatch(value):
        return value
    if not value.isprintable() and any(not c.isprintable() and c not in "\n\r\t" for c in value):
        return None
    # dotenv takes a backslash before the closing quote for an escape of the quote.
    if "'" not in value and "\n" not in value and "\r" not in value and not value.endswith("\\"):
        return f"'{value}'"
    if '"' in value or "\\" in value:
        return None
    return '"' + value.replace("\n", "\\n").replace("\r", "\\r") + '"'
