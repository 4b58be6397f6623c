"""A progress display on a terminal. Pipes and log files get none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[str], None]
"""Takes a line about the last step; each call advances the display."""


@contextmanager
def busy(what: str) -> Iterator[Tell]:
    """A progress bar on standard error with `what` and the time so far; it is removed at the end.

    Shows nothing when standard error is not a terminal, or is one that can't move its cursor. rich chooses the colours
    and respects NO_COLOR.
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
