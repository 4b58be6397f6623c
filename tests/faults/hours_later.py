"""A real daemon whose clock can be put forward: what it serves after hours without a good word from the Hub.

Everything else of it is as it is run: its own process, its workers, its sockets. Only the time that it is given is the
machine's plus the number in a file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.daemon.asking import Question
from tests.daemon.visitor import ask
from tests.running import Answer, Home, RunningDaemon

INTERVAL = 900
_PROGRAM = """
import sys, time
from pathlib import Path
import hublet.daemon
ahead = Path(sys.argv.pop(1))
hublet.daemon.Daemon.__init__.__kwdefaults__["clock"] = lambda: time.time() + float(ahead.read_text())
from hublet.cli.main import main
main()
"""


@dataclass
class Later:
    """The daemon, and by how many seconds its clock is ahead of the machine's."""

    daemon: RunningDaemon
    ahead: float = 0.0

    def put_forward(self, seconds: float) -> None:
        self.ahead += seconds
        beside = self.daemon.home.path / "ahead.new"
        beside.write_text(str(self.ahead))
        beside.replace(self.daemon.home.path / "ahead")  # in one step: it is read at any moment

    def ask(self, questions: Iterable[Question]) -> list[Answer]:
        return [ask(self.daemon, *question) for question in questions]

    def sync(self) -> tuple[int, str]:
        """The exit code of `hublet sync`, and what it said of problems."""
        done = self.daemon.home.hublet("sync")
        return done.returncode, done.stderr.decode()


@contextmanager
def daemon_of(home: Home) -> Iterator[Later]:
    (home.path / "ahead").write_text("0.0")
    home.own()
    with home.daemon(program=[sys.executable, "-c", _PROGRAM, str(home.path / "ahead")]) as daemon:
        yield Later(daemon)


def stale(answer: Answer) -> bool:
    """Whether an answer says of itself that it is from the cache, and older than an interval: stale, unless it is one
    of those that are good for longer."""
    said = answer.headers["cache-status"]
    good_for_longer = int(said.partition("ttl=")[2].partition(";")[0]) > 0
    return "hublet; hit" in said and int(answer.headers["age"]) >= INTERVAL and good_for_longer != ("stale" in said)
