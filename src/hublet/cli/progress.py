"""Showing on a terminal that something is going on; a pipe or a log file sees nothing of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[str], None]
"""Takes a line on what was done last; each call is a step."""


@contextmanager
def busy(what: str) -> Iterator[Tell]:
    """A bar on standard error, with `what` and the time so far, which is gone at the end.

    Nothing where that is no terminal, or one that can't move its cursor. Colours are rich's, which knows NO_COLOR.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM", "") in ("", "dumb", "unknown"):
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from hublet.cli.printing import printable

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        yield lambda line: progress.update(task, advance=1, description=printable(line))
