"""Kills a hublet before every change that it makes to a file: run as a program by test_crash_points.py.

    LD_PRELOAD=shim.so FILES_UNDER=FOLDER/work python crash_points.py SCENARIO FOLDER MOST

A scenario is prepared once. Then a child does it on a fresh copy and is killed before its first write, fsync, rename,
unlink, cut, or creation of a file or folder, the next child before its second, until one lives to its end: whether
Python or SQLite makes the call, since the C library is where they are counted. What is left must open, and hold in full
what it held before or what it holds afterwards. Prints `POINTS points, KILLED killed, STATES states`; of more points
than MOST, so many are tried, evenly spread with the first and the last.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from tests.faults.small_world import small_world
from tests.in_process import HUB_URL, Clock, InProcess, in_process

from hublet.core.envelope import Envelope
from hublet.core.errors import StoreCorrupt, StoreError, StoreFormat
from hublet.core.questions import Assistant
from hublet.demo.data import DEMO_KEY
from hublet.demo.hub import Hub
from hublet.keys.file import FileSource
from hublet.serve.admin import Admin
from hublet.store import migrations, schema
from hublet.store.archive import Archive
from hublet.store.sealed import Store
from hublet.store.unlocking import peek
from hublet.upstream import http

Act = Callable[[InProcess], Awaitable[Any]]
GONE, FORGOTTEN, DAMAGED = "no store", "forgotten", "damaged"


async def nothing(_: InProcess) -> None:
    """Opening and closing alone."""


def admin(method: str, path: str, value: object = None) -> Act:
    """A command, as it comes in at the admin door."""

    async def act(it: InProcess) -> dict[str, Any]:
        response = await Admin(it.service).handle(method, tuple(path.split("/")), orjson.dumps(value or {}))
        assert response.status == 200, response
        assert isinstance(response.body, bytes)
        found: dict[str, Any] = orjson.loads(response.body)
        return found

    return act


async def grow(it: InProcess) -> None:
    """Logged in, and three passes: there is history, and one assistant is missing for the first time."""
    await it.log_in()
    it.clock.advance(1000)
    it.hub.edit_assistant("ada/a1", "A1", "The second A1")
    await it.sync.run_pass()
    it.clock.advance(1000)
    it.hub.remove_assistant("ada/a3")
    await it.sync.run_pass()


async def grow_and_change(it: InProcess) -> None:
    """The same; the next pass has something to add, to change, to withdraw, and a rotated secret."""
    await grow(it)
    it.clock.advance(1000)
    with it.hub.changing() as world:
        world.sources["ada/new"] = world.sources["ada/a2"]
        world.roster.append("ada/new")
    it.hub.edit_assistant("ada/a1", "The second A1", "The third A1")
    it.hub.set_secret("KEY_A", "canary-KEY_A-1")


async def grow_and_back_up(it: InProcess) -> None:
    await grow(it)
    copy = Path((await admin("POST", "store/backup")(it))["copy"])
    copy.rename(copy.with_name("restore.sqlite3"))
    it.clock.advance(1000)
    it.hub.edit_assistant("ada/a1", "The second A1", "The third A1")
    await it.sync.run_pass()


async def sync(it: InProcess) -> None:
    summary = await it.sync.run_pass()
    assert summary.answered == summary.asked, summary


async def start_over(it: InProcess) -> None:
    await it.sync.start_over()


async def pin(it: InProcess) -> None:
    from hublet.core.history import revision_of
    from hublet.core.records import Record

    known = next(
        known for question, known in it.sync.state.records.items()
        if isinstance(question, Assistant) and str(question.slug) == "ada/a1" and isinstance(known, Record)
    )  # fmt: skip
    await admin("POST", "pins", {"what": "ada/a1", "revision": revision_of(known.content)})(it)


async def deleted(it: InProcess) -> None:
    """Another program deletes the store that is open."""
    for name in ("", "-wal", "-shm"):
        (database(it).with_name(schema.database_name + name)).unlink(missing_ok=True)
    await it.sync.save_again()


async def overwritten(it: InProcess) -> None:
    """Another program writes into the store that is open."""
    with database(it).open("r+b") as file:
        file.write(bytes(40_000))
    await it.sync.save_again()
    assert it.sync.saving.failed_since is None


def database(it: InProcess) -> Path:
    return it.service.config.locate().data / schema.database_name


def damage(folder: Path) -> None:
    """One record no longer opens."""
    with closing(sqlite3.connect(folder / "data" / schema.database_name, isolation_level=None)) as connection:
        id, sealed = connection.execute(
            "SELECT id, sealed FROM records WHERE kind = 'assistant' ORDER BY id"
        ).fetchone()
        changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
        connection.execute("UPDATE records SET sealed = ? WHERE id = ?", (changed, id))


def lose_a_record(folder: Path) -> None:
    """Then no hublet opens it any more."""
    with closing(sqlite3.connect(folder / "data" / schema.database_name, isolation_level=None)) as connection:
        connection.execute("DELETE FROM records WHERE kind = 'policy'")


def another_format(_: Path) -> None:
    """From here on this hublet's format is an invented next one, with one more table and each record sealed anew."""
    more = {**schema.tables, "notes": "CREATE TABLE notes (name TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID"}

    def step(connection: sqlite3.Connection, envelope: Envelope, randomness: Callable[[int], bytes]) -> None:
        connection.execute(more["notes"])
        for id, kind, sealed in connection.execute("SELECT id, kind, sealed FROM records").fetchall():
            again = envelope.seal(kind, id, envelope.open(kind, id, sealed), randomness(32))
            connection.execute("UPDATE records SET sealed = ? WHERE id = ?", (again, id))

    schema.format_version, schema.tables = 2, more
    schema.tables_of[2] = more
    migrations.steps[1] = step


@dataclass(frozen=True)
class Scenario:
    """`prepare` makes what there is before, `then` does something to its files; `between` are acts that end at a state
    which a crash may leave besides those before and after, and `also` is what else it may find."""

    prepare: Act | None
    act: Act
    then: Callable[[Path], None] | None = None
    between: tuple[Act, ...] = ()
    also: tuple[str, ...] = ()


SCENARIOS = {
    "first-start": Scenario(None, nothing),
    "login": Scenario(nothing, admin("POST", "login", {"key": DEMO_KEY})),
    "login-fresh": Scenario(grow, admin("POST", "login", {"key": DEMO_KEY, "fresh": True}), between=(start_over,)),
    "first-sync": Scenario(admin("POST", "login", {"key": DEMO_KEY}), sync),
    "sync": Scenario(grow_and_change, sync),
    "token": Scenario(grow, admin("POST", "tokens", {"name": "a", "scope": "read"})),
    "lock": Scenario(grow, admin("POST", "lock")),
    "pin": Scenario(grow, pin),
    "rotate": Scenario(grow, admin("POST", "keys/rotate")),
    "escrow": Scenario(grow, admin("POST", "keys/escrow")),
    "upgrade": Scenario(grow, nothing, then=another_format),
    "backup": Scenario(grow, admin("POST", "store/backup")),
    "restore": Scenario(grow_and_back_up, admin("POST", "store/restore")),
    "repair": Scenario(grow, admin("POST", "store/repair"), then=damage),
    "repair-shut": Scenario(grow, admin("POST", "store/repair", {"accept_missing": True}), then=lose_a_record),
    "deleted": Scenario(grow, deleted, also=(GONE,)),
    "overwritten": Scenario(grow, overwritten, also=(DAMAGED,)),
    "forget": Scenario(grow, admin("POST", "forget"), also=(FORGOTTEN, GONE)),
}


def decoded(folder: Path) -> Any:
    """Everything that a store holds, read by the key beside it; or a word for why there is nothing."""
    if not (folder / "data" / schema.database_name).exists():
        return GONE
    try:
        store = Store.open(folder / "data", FileSource(folder / "key" / "kek"), clock=lambda: 5.0)
    except (StoreCorrupt, StoreFormat):
        return DAMAGED
    except StoreError as error:
        if "was forgotten" not in error.message:
            raise
        return FORGOTTEN
    archive = Archive(store)
    try:
        loaded = archive.load()
        timelines = archive.timelines()
        revisions = {
            (question, period.revision): archive.revision(question, period.revision)
            for question, timeline in timelines.items()
            for period in timeline.periods
        }
        assert None not in revisions.values()
        documents = dict(loaded.documents)
        tokens = documents.pop("tokens", [])
        assert isinstance(tokens, list)
        return loaded.state, documents, [token["name"] for token in tokens], loaded.lost, timelines, revisions
    except StoreCorrupt:
        return DAMAGED
    finally:
        archive.close()


class Runner:
    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.work, self.prepared = scenario, folder / "work", folder / "prepared"
        self.clock = Clock()
        self.hub = Hub(clock=self.clock, world=small_world())
        self.library = ctypes.CDLL(os.environ["LD_PRELOAD"])

    def prepare(self) -> None:
        self.work.mkdir()
        if self.scenario.prepare is not None:
            asyncio.run(self._act(self.scenario.prepare))
        if self.scenario.then is not None:
            self.scenario.then(self.work)
        shutil.copytree(self.work, self.prepared)

    def fresh(self) -> None:
        shutil.rmtree(self.work)
        shutil.copytree(self.prepared, self.work)

    def child(self, act: Act, kill_at: int = 0) -> tuple[bool, int]:
        """Do it in a child; whether it was killed, and how many changes were counted."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                self.library.files_arm(ctypes.c_long(kill_at))
                asyncio.run(self._act(act))
                os.write(writing, b"%d" % self.library.files_count())
            except BaseException:  # noqa: BLE001
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            return True, 0
        assert os.WEXITSTATUS(status) == 0, f"it failed by itself at {kill_at}"
        return False, int(said)

    async def _act(self, act: Act) -> None:
        async with in_process(self.work, hub=self.hub, clock=self.clock) as it:
            await act(it)

    def after(self, act: Act) -> Any:
        self.fresh()
        self.child(act)
        return decoded(self.work)


def chosen(points: int, most: int) -> list[int]:
    """Evenly spread from the first to the last; all of them where that are no more than `most`, or `most` is 0."""
    if most == 0 or points <= most:
        return list(range(1, points + 1))
    return sorted({1 + round(n * (points - 1) / (most - 1)) for n in range(most)})


def main(name: str, folder: Path, most: int) -> None:
    os.umask(0o077)
    http.trust = functools.cache(http.trust)  # type: ignore[assignment]  # reading certificates is the slow part
    scenario = SCENARIOS[name]
    runner = Runner(scenario, folder)
    runner.hub.public_url = HUB_URL
    runner.prepare()
    runner.fresh()
    before = decoded(runner.work)
    afterwards = runner.after(scenario.act)
    allowed = [before, afterwards, *(runner.after(act) for act in scenario.between), *scenario.also]
    runner.fresh()
    _, points = runner.child(scenario.act)
    seen: list[int] = []
    tried = chosen(points, most)
    for number in tried:
        runner.fresh()
        killed, _ = runner.child(scenario.act, number)
        assert killed, number
        if name == "upgrade":
            header = peek(runner.work / "data")
            assert header is not None
            assert header.format == 1 or (runner.work / "data" / "aside-1" / schema.database_name).exists()
        found = decoded(runner.work)
        assert found in allowed, f"{name}: killed before change {number} of {points}, it opens to neither: {found}"
        seen.append(allowed.index(found))
        if number % 7 == 0 and found not in (DAMAGED, FORGOTTEN):  # and it goes on from there
            runner.child(runner_goes_on)
            assert decoded(runner.work) not in (GONE, DAMAGED, FORGOTTEN)
    print(f"{points} points, {len(tried)} killed, {len(set(seen))} states", flush=True)


async def runner_goes_on(it: InProcess) -> None:
    if it.service.account is None:
        await it.log_in()
    else:
        await it.sync.run_pass()
    assert it.sync.saving.failed_since is None


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
