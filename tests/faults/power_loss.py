"""Loses power at every flush of what a hublet does: run as a program by test_power_loss.py.

    LD_PRELOAD=shim.so FILES_UNDER=FOLDER/work python power_loss.py SCENARIO FOLDER EACH

The scenarios are those of crash_points.py. All changes of files are recorded where they leave the process, Python's and
SQLite's alike; then, before each flush and after the last one, everything that a disk may have kept by then (disk.py;
EACH drawn ones besides the plain ones) is put down and opened. It holds what there was before or afterwards, and what
was done to its end is there to stay. Prints `FLUSHES flushes, LOSSES losses, STATES states`.
"""

from __future__ import annotations

import functools
import os
import random
import sys
from pathlib import Path

from tests.faults.crash_points import DAMAGED, GONE, HUB_URL, SCENARIOS, Runner, decoded, runner_goes_on
from tests.faults.disk import Disk, put_down, read_log
from tests.in_process import InProcess

from hublet.upstream import http


def main(name: str, folder: Path, each: int) -> None:
    os.umask(0o077)
    http.trust = functools.cache(http.trust)  # type: ignore[assignment]
    scenario = SCENARIOS[name]
    runner = Runner(scenario, folder)
    runner.hub.public_url = HUB_URL
    runner.prepare()
    runner.fresh()
    before = decoded(runner.work)
    afterwards = runner.after(scenario.act)
    allowed = [before, afterwards, *(runner.after(act) for act in scenario.between), *scenario.also]
    runner.fresh()
    disk, log = Disk(runner.work), folder / "log"

    async def recorded(it: InProcess) -> None:
        await scenario.act(it)

    os.environ["FILES_LOG"] = str(log)
    runner.child(recorded)
    del os.environ["FILES_LOG"]
    chance, flushes, losses, seen = random.Random(7), 0, 0, set()

    def lose(number: int, only: list[object]) -> None:
        nonlocal losses
        for left in disk.losses(chance, number):
            put_down(left, runner.work)
            found = decoded(runner.work)
            assert found in only, f"{name}: at flush {flushes} of {len(changes)} changes: {found}\n{sorted(left)}"
            seen.add(allowed.index(found))
            losses += 1
            if losses % 40 == 0 and found not in (*scenario.also, DAMAGED):
                runner.child(runner_goes_on)
                assert decoded(runner.work) not in (GONE, DAMAGED)

    changes = read_log(log)
    for change in changes:
        if change.kind == "sync":
            flushes += 1
            lose(each, allowed)
        disk.done(change)
    lose(each, [afterwards])
    print(f"{flushes} flushes, {losses} losses, {len(seen)} states", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
