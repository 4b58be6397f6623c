"""The daemon, with a clock that somebody else moves: told on standard input what to do, a line each.

    tick SECONDS    so much later the machine wakes: the heartbeat finds out and a pass runs
    sample          says what the process holds, at rest

Every fourth pass is a process of its own as ever, the others run within this one to save time. Everything else is the
real thing: the door on its port, the store, the watching of the config file.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys
import time
from pathlib import Path

from hublet.config.loading import load_config
from hublet.core.operations import Operation
from hublet.core.outcomes import Outcome, PassReport
from hublet.core.records import Fact
from hublet.daemon import Daemon
from hublet.passes.sync import Run, Say
from hublet.running import log_to_stderr
from hublet.upstream.child import run_in_child
from hublet.upstream.http import HubClient
from hublet.upstream.order import Ordered, Told, Word, made
from hublet.upstream.survey import survey


def alternating() -> Run:
    number = itertools.count()

    async def run(ordered: Ordered, say: Say) -> PassReport:
        order = await made(ordered)
        if next(number) % 4 == 0:
            return await run_in_child(order, say)
        outcomes: list[tuple[Operation, Outcome]] = []
        icons: list[Fact] = []

        def hear(word: Word) -> None:
            say(word)
            if isinstance(word, Told):
                outcomes.append((word.operation, word.outcome))
            else:
                icons.append(word)

        async with HubClient(order.hub, order.validators) as client:
            await survey(order, client, hear)
        return PassReport(tuple(outcomes), tuple(icons), whole=order.whole)

    return run


async def main(config: Path) -> None:
    late = [0.0]
    daemon = Daemon(load_config(config), run=alternating(), clock=lambda: time.time() + late[0], file=config)
    await daemon.start()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    print(daemon.port, flush=True)
    while line := (await lines.readline()).split():
        if line[0] == b"tick":
            late[0] += float(line[1])
            assert daemon.tending is not None
            daemon.tending.heartbeat()
            assert daemon.service is not None
            assert daemon.service.sync is not None
            await asyncio.sleep(0.01)
            await daemon.service.sync.run_pass()  # joins the one that the waking has begun
            print("ok", flush=True)
        else:
            await at_rest()
            gc.collect()
            print(json.dumps(sample(daemon)), flush=True)
    await daemon.stop()


async def at_rest() -> None:
    """Until nothing is going on: a pass that a client has begun, or a worker whose end nobody waits for."""
    async with asyncio.timeout(30):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)


def sample(daemon: Daemon) -> dict[str, int]:
    data = daemon.config.locate().data
    service = daemon.service
    assert service is not None
    assert service.sync is not None
    return {
        "kB": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1000,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "tasks": len(asyncio.all_tasks()),
        "wal": sum(file.stat().st_size for file in data.glob("*-wal")),
        "store": (data / "hublet.sqlite3").stat().st_size,
        "audit": sum(file.stat().st_size for file in data.glob("audit*")),
        "records": len(service.sync.state.records),
        "asked": service.sync.asked_of_hub,
    }


if __name__ == "__main__":
    log_to_stderr("info")
    asyncio.run(main(Path(sys.argv[1])))
