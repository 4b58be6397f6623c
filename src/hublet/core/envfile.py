"""Writing a `.env` file that Continue's clients (npm's dotenv) and hublet's own `secrets.override` read alike."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hublet.core.secretstr import SecretStr

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@%+=\\-]*")


def dump_env(values: Mapping[str, SecretStr], heading: str) -> tuple[str, tuple[str, ...]]:
    """(text, names that can't be written): a line for each value, by name, below a comment."""
    lines, left = [f"# {line}" for line in heading.splitlines()], []
    for name, value in sorted(values.items()):
        text = quoted(value.reveal())
        if text is None:
            left.append(name)
        else:
            lines.append(f"{name}={text}")
    return "\n".join(lines) + "\n", tuple(left)


def quoted(value: str) -> str | None:
    """A value as it stands behind `NAME=`; None for one that no quotes can hold for every reader, since dotenv knows
    line ends as its only escapes."""
    if _PLAIN.fullmatch(value):
        return value
    if not value.isprintable() and any(not c.isprintable() and c not in "\n\r\t" for c in value):
        return None
    # For dotenv a backslash before the closing quote keeps it from closing.
    if "'" not in value and "\n" not in value and "\r" not in value and not value.endswith("\\"):
        return f"'{value}'"
    if '"' in value or "\\" in value:
        return None
    return '"' + value.replace("\n", "\\n").replace("\r", "\\r") + '"'
