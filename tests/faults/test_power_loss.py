"""Power lost at every flush, with what was not flushed dropped, reordered and torn: before or after, nothing half.

Twice: with every change of a file as it leaves the process (shim.c), and with SQLite's part alone as its own VFS layer
sees it (apsw), where no compiler is needed. What is left is opened by the sqlite3 module that hublet uses.

    pytest -m slow tests/faults/test_power_loss.py                   prints at its end how many losses there were
    HUBLET_TESTS_LOSSES=50 ...                                       draws so many more at each flush
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults import shim
from tests.faults.crash_points import SCENARIOS, database, decoded, grow_and_change, sync
from tests.faults.disk import Change, Disk, put_down
from tests.faults.recording import recording
from tests.faults.small_world import small_world
from tests.in_process import Clock, InProcess, in_process
from tests.running import missing

pytestmark = pytest.mark.slow

EACH = os.environ.get("HUBLET_TESTS_LOSSES", "4")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shim.build(tmp_path_factory.mktemp("shim"))


@pytest.mark.skipif(bool(missing("cc")), reason=missing("cc") or "it is there")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_after_a_power_loss_it_opens_to_before_or_after(
    library: Path, tmp_path: Path, scenario: str, record_property: Callable[[str, object], None]
) -> None:
    """The database, its WAL, the key files and the folders; and what was done to its end lasts."""
    flushes, losses, states = shim.figures(library, "power_loss.py", tmp_path, scenario, EACH)
    record_property("power losses", [scenario, flushes, losses, states])
    assert flushes > 4
    assert losses > 8 * flushes - 1


def test_a_pass_survives_a_power_loss_below_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """The real commit and its scrub on a recording VFS."""
    from hublet.demo.hub import Hub

    clock = Clock()
    hub = Hub(clock=clock, world=small_world())
    changes: list[Change] = []
    disks: list[Disk] = []

    async def prepared() -> None:
        async with in_process(tmp_path, hub=hub, clock=clock) as it:
            await grow_and_change(it)

    async def passed() -> None:
        async with in_process(tmp_path, hub=hub, clock=clock) as it:
            await one_pass(it)

    async def one_pass(it: InProcess) -> None:
        assert database(it).exists()
        await sync(it)

    asyncio.run(prepared())
    for name in ("audit.log", "config.yaml"):
        (tmp_path / name).unlink(missing_ok=True)
    before = decoded(tmp_path)
    disks.append(Disk(tmp_path))
    with recording(monkeypatch, changes.append):
        asyncio.run(passed())
    after = decoded(tmp_path)
    assert before != after
    keys = {path: file.flushed for path, file in Disk(tmp_path).flushed.items() if "/key" in path and not file.folder}
    chance, losses, seen = random.Random(9), 0, set()
    disk = disks[0]

    def lose(allowed: list[object]) -> None:
        nonlocal losses
        for left in disk.losses(chance, int(EACH)):
            # The count beside the key is not SQLite's: it may be one behind, never ahead of what is there.
            put_down({**left, **({} if allowed != [after] else keys)}, tmp_path)
            found = decoded(tmp_path)
            assert found in allowed
            seen.add(allowed.index(found))
            losses += 1

    for change in changes:
        if change.kind == "sync":
            lose([before, after])
        disk.done(change)
    lose([after])
    assert len(seen) == 2
    flushes = sum(change.kind == "sync" for change in changes)
    assert flushes >= 3
    record_property("power losses", ["sync by apsw", flushes, losses, len(seen)])


def test_the_disk_loses_what_it_may(tmp_path: Path) -> None:
    """The pretended disk itself: what was flushed stays, what was not comes and goes, a name goes with its folder."""
    (tmp_path / "a").write_bytes(b"old" * 1000)
    disk = Disk(tmp_path)
    disk.done(Change("write", f"{tmp_path}/a", "", 0, b"new" * 1000))
    disk.done(Change("create", f"{tmp_path}/b"))
    contents = {left[f"{tmp_path}/a"] for left in disk.losses(random.Random(1), 50)}
    assert {b"old" * 1000, b"new" * 1000} < contents
    assert {f"{tmp_path}/b" in left for left in disk.losses(random.Random(1), 50)} == {True, False}
    disk.done(Change("sync", f"{tmp_path}/a"))
    disk.done(Change("sync", str(tmp_path)))
    lefts = list(disk.losses(random.Random(1), 50))
    assert all(left == {f"{tmp_path}/a": b"new" * 1000, f"{tmp_path}/b": b""} for left in lefts)
