"""The program `hublet`: the daemon as directly as can be, every other command by way of the cli.

What starts with a session and stays all day should not bring along what only commands need: a plain `hublet run` is
understood here, without the cli's library. Anything else about it (its help, a mistake) is the cli's matter.
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def plain_run(words: Sequence[str]) -> tuple[str | None, bool] | None:
    """`[--config FILE] run [--debug]` as (FILE, whether to debug), or None for any other command line."""
    match [word for given in words for word in _apart(given)]:
        case ["run", *rest] if rest in ([], ["--debug"]):
            return None, bool(rest)
        case ["--config", file, "run", *rest] if rest in ([], ["--debug"]) and file:
            return file, bool(rest)
    return None


def _apart(word: str) -> tuple[str, ...]:
    name, equals, value = word.partition("=")
    return (name, value) if equals and name == "--config" else (word,)


def main() -> None:
    """Run the command that the process was started with."""
    # Until all is loaded: looking for garbage among what is just being made takes 5 % of a start.
    gc.disable()
    plain = plain_run(sys.argv[1:]) if "_HUBLET_COMPLETE" not in os.environ else None
    if plain is None:
        from hublet.cli.main import main as command

        gc.enable()
        command()
        return
    from pathlib import Path

    from hublet.core.errors import HubletError
    from hublet.running import run

    file, debug = plain
    try:
        run(Path(file) if file is not None else None, debug=debug)
    except HubletError as error:
        from hublet.cli.main import fail

        fail(error)


if __name__ == "__main__":
    main()
