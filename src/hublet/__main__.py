"""The program `hublet`: the daemon as directly as can be, every other command by way of the cli.

What starts with a session and stays all day should not bring along what only commands need: a plain `hublet run` is
understood here, without the cli's library. Anything else about it (its help, a mistake) is the cli's matter.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Plain(NamedTuple):
    """A `hublet run` that needs no explaining."""

    file: Path | None
    debug: bool


def plain_run(words: Sequence[str]) -> Plain | None:
    """`[--config FILE] run [--debug]`, or None for any other command line."""
    match [word for given in words for word in _apart(given)]:
        case ["run", *rest] if rest in ([], ["--debug"]):
            return Plain(None, bool(rest))
        case ["--config", file, "run", *rest] if rest in ([], ["--debug"]) and file:
            return Plain(Path(file), bool(rest))
    return None


def _apart(word: str) -> tuple[str, ...]:
    name, equals, value = word.partition("=")
    return (name, value) if equals and name == "--config" else (word,)


def main() -> None:
    """Run the command that the process was started with."""
    plain = plain_run(sys.argv[1:]) if "_HUBLET_COMPLETE" not in os.environ else None
    if plain is None:
        from hublet.cli.main import main as command

        command()
        return
    from hublet.core.errors import HubletError
    from hublet.running import run

    try:
        run(plain.file, debug=plain.debug)
    except HubletError as error:
        from hublet.cli.main import fail

        fail(error)


if __name__ == "__main__":
    main()
